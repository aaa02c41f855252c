_base_ = 'mmdet::fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py'
data = dict(
    train=dict(deeplake_path='data/demo', deeplake_view_id='train'),
    val=dict(deeplake_path='data/demo', deeplake_view_id='val'),
)
