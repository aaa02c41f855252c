_base_ = '../_base_/rtmdet_narrow_crops.py'
train_dataloader = dict(dataset=dict(deeplake_path='data/bccd', deeplake_view_id='trainval'))
val_dataloader = dict(dataset=dict(deeplake_path='data/bccd', deeplake_view_id='test'))
test_dataloader = val_dataloader

max_epochs = 20  # of the three classes the smallest, platelets, is learnt last
train_cfg = dict(max_epochs=max_epochs)
param_scheduler = _base_.param_scheduler
param_scheduler[1].update(end=max_epochs, T_max=max_epochs)
