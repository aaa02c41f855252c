_base_ = '../_base_/rtmdet-ins_narrow.py'
train_dataloader = dict(dataset=dict(deeplake_path='data/demo', deeplake_view_id='train'))
val_dataloader = dict(dataset=dict(deeplake_path='data/demo', deeplake_view_id='val'))
test_dataloader = val_dataloader
