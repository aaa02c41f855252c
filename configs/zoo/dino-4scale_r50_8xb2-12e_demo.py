_base_ = 'mmdet::dino/dino-4scale_r50_8xb2-12e_coco.py'
data = dict(
    train=dict(deeplake_path='data/demo', deeplake_view_id='train'),
    val=dict(deeplake_path='data/demo', deeplake_view_id='val'),
)
