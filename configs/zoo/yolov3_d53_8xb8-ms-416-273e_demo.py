_base_ = 'mmdet::yolo/yolov3_d53_8xb8-ms-416-273e_coco.py'
data = dict(
    train=dict(deeplake_path='data/demo', deeplake_view_id='train'),
    val=dict(deeplake_path='data/demo', deeplake_view_id='val'),
)
