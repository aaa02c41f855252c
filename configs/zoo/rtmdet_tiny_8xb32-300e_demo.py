_base_ = 'mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py'
data = dict(
    train=dict(deeplake_path='data/demo', deeplake_view_id='train'),
    val=dict(deeplake_path='data/demo', deeplake_view_id='val'),
)
