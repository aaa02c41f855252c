_base_ = 'mmdet::yolox/yolox_s_8xb8-300e_coco.py'
data = dict(
    train=dict(deeplake_path='data/demo', deeplake_view_id='train'),
    val=dict(deeplake_path='data/demo', deeplake_view_id='val'),
)
