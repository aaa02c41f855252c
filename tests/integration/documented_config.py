# The example of Deep Lake's documentation of its integration. Changed are the paths of the datasets, and a quotation
# mark that the documentation lacks; the path of the base is that of a checkout of MMDetection 2 which is not there.
_base_ = '../mmdetection/configs/yolo/yolov3_d53_mstrain-416_273e_coco.py'

# use caffe img_norm
img_norm_cfg = dict(mean=[0, 0, 0], std=[255.0, 255.0, 255.0], to_rgb=True)

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Expand', mean=img_norm_cfg['mean'], to_rgb=img_norm_cfg['to_rgb'], ratio_range=(1, 2)),
    dict(type='Resize', img_scale=[(320, 320), (416, 416)], keep_ratio=True),
    dict(type='RandomFlip', flip_ratio=0.0),
    dict(type='PhotoMetricDistortion'),
    dict(type='Normalize', **img_norm_cfg),
    dict(type='Pad', size_divisor=32),
    dict(type='DefaultFormatBundle'),
    dict(type='Collect', keys=['img', 'gt_bboxes', 'gt_labels']),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='MultiScaleFlipAug',
        img_scale=(416, 416),
        flip=False,
        transforms=[
            dict(type='Resize', keep_ratio=True),
            dict(type='RandomFlip', flip_ratio=0.0),
            dict(type='Normalize', **img_norm_cfg),
            dict(type='Pad', size_divisor=32),
            dict(type='ImageToTensor', keys=['img']),
            dict(type='Collect', keys=['img']),
        ],
    ),
]

TOKEN = 'INSERT_YOUR_DEEPLAKE_TOKEN'

data = dict(
    train=dict(
        pipeline=train_pipeline,
        deeplake_path='TRAIN_PATH',
        deeplake_credentials={
            'username': None,
            'password': None,
            'token': TOKEN,
            'creds': None,
        },
        deeplake_commit_id='',
        deeplake_view_id='',
        deeplake_tensors={'img': 'images', 'gt_bboxes': 'boxes', 'gt_labels': 'categories', 'gt_masks': 'masks'},
        deeplake_dataloader={'shuffle': True, 'batch_size': 4, 'num_workers': 8},
    ),
    val=dict(
        pipeline=test_pipeline,
        deeplake_path='VAL_PATH',
        deeplake_credentials={
            'username': None,
            'password': None,
            'token': TOKEN,
            'creds': None,
        },
        deeplake_tensors={'img': 'images', 'gt_bboxes': 'boxes', 'gt_labels': 'categories'},
        deeplake_dataloader={'shuffle': False, 'batch_size': 1, 'num_workers': 8},
    ),
)
deeplake_dataloader_type = 'c++'
deeplake_metrics_format = 'COCO'
