_base_ = 'mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py'
data = dict(
    train=dict(deeplake_path='data/demo', deeplake_view_id='train'),
    val=dict(deeplake_path='data/demo', deeplake_view_id='val'),
)
