"""The short form: ``data = dict(train=dict(deeplake_path=…), val=…)`` on top of any base config of MMDetection 3."""
