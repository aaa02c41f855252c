_base_ = '../_base_/rtmdet_narrow_crops.py'
train_dataloader = dict(dataset=dict(deeplake_path='data/bccd', deeplake_view_id='trainval'))
val_dataloader = dict(dataset=dict(deeplake_path='data/bccd', deeplake_view_id='test'))
test_dataloader = val_dataloader
