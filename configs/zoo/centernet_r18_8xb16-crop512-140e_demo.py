_base_ = 'mmdet::centernet/centernet_r18_8xb16-crop512-140e_coco.py'
data = dict(
    train=dict(deeplake_path='data/demo', deeplake_view_id='train'),
    val=dict(deeplake_path='data/demo', deeplake_view_id='val'),
)
