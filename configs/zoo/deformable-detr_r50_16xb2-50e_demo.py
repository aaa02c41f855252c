_base_ = 'mmdet::deformable_detr/deformable-detr_r50_16xb2-50e_coco.py'
data = dict(
    train=dict(deeplake_path='data/demo', deeplake_view_id='train'),
    val=dict(deeplake_path='data/demo', deeplake_view_id='val'),
)
