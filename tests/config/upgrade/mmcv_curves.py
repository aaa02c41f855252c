"""Learning rates of mmcv 1.7.2 (and mmdet 2.28.2 for YOLOX) at each iteration, printed by running their hooks.

A curve is a lr_config, the loop, and the value at each of twelve iterations; four epochs have three iterations each.
The optimizer's learning rate is 0.02.
"""

from __future__ import annotations

from typing import Any

from deeplake_mmdet.config.upgrade.loops import Loop

EPOCH_LENGTH = 3
BASE = 0.02
EPOCHS = Loop(True, 4)
ITERATIONS = Loop(False, 12)
Curve = tuple[dict[str, Any], Loop, str]
# The same value at every iteration:
CURVES: dict[str, Curve] = {
    'step by epoch': (
        dict(policy='step', step=[1, 3]),
        EPOCHS,
        '0.02 0.02 0.02 0.002 0.002 0.002 0.002 0.002 0.002 0.0002 0.0002 0.0002',
    ),
    'step by iteration': (
        dict(policy='step', step=[5, 9]),
        ITERATIONS,
        '0.02 0.02 0.02 0.02 0.02 0.002 0.002 0.002 0.002 0.0002 0.0002 0.0002',
    ),
    'step by epoch after constant warm-up': (
        dict(policy='step', step=[1, 3], warmup='constant', warmup_iters=4, warmup_ratio=0.25),
        EPOCHS,
        '0.005 0.005 0.005 0.0005 0.002 0.002 0.002 0.002 0.002 0.0002 0.0002 0.0002',
    ),
    'step by iteration after constant warm-up': (
        dict(policy='step', step=[5, 9], warmup='constant', warmup_iters=4, warmup_ratio=0.25),
        ITERATIONS,
        '0.005 0.005 0.005 0.005 0.02 0.002 0.002 0.002 0.002 0.0002 0.0002 0.0002',
    ),
    'step by epoch after linear warm-up': (
        dict(policy='step', step=[1, 3], warmup='linear', warmup_iters=4, warmup_ratio=0.1),
        EPOCHS,
        '0.002 0.0065 0.011 0.00155 0.002 0.002 0.002 0.002 0.002 0.0002 0.0002 0.0002',
    ),
    'step by iteration after linear warm-up': (
        dict(policy='step', step=[5, 9], warmup='linear', warmup_iters=4, warmup_ratio=0.1),
        ITERATIONS,
        '0.002 0.0065 0.011 0.0155 0.02 0.002 0.002 0.002 0.002 0.0002 0.0002 0.0002',
    ),
    'step by epoch after exp warm-up': (
        dict(policy='step', step=[1, 3], warmup='exp', warmup_iters=4, warmup_ratio=0.01),
        EPOCHS,
        '0.0002 0.000632455532 0.002 0.000632455532 0.002 0.002 0.002 0.002 0.002 0.0002 0.0002 0.0002',
    ),
    'step by iteration after exp warm-up': (
        dict(policy='step', step=[5, 9], warmup='exp', warmup_iters=4, warmup_ratio=0.01),
        ITERATIONS,
        '0.0002 0.000632455532 0.002 0.00632455532 0.02 0.002 0.002 0.002 0.002 0.0002 0.0002 0.0002',
    ),
    'step with a period by epoch': (
        dict(policy='step', step=2, gamma=0.5),
        EPOCHS,
        '0.02 0.02 0.02 0.02 0.02 0.02 0.01 0.01 0.01 0.01 0.01 0.01',
    ),
    'step with a period by iteration': (
        dict(policy='step', step=5, gamma=0.5),
        ITERATIONS,
        '0.02 0.02 0.02 0.02 0.02 0.01 0.01 0.01 0.01 0.01 0.005 0.005',
    ),
    'step with a period by epoch after constant warm-up': (
        dict(policy='step', step=2, gamma=0.5, warmup='constant', warmup_iters=4, warmup_ratio=0.25),
        EPOCHS,
        '0.005 0.005 0.005 0.005 0.02 0.02 0.01 0.01 0.01 0.01 0.01 0.01',
    ),
    'step with a period by iteration after constant warm-up': (
        dict(policy='step', step=5, gamma=0.5, warmup='constant', warmup_iters=4, warmup_ratio=0.25),
        ITERATIONS,
        '0.005 0.005 0.005 0.005 0.02 0.01 0.01 0.01 0.01 0.01 0.005 0.005',
    ),
    'step with a period by epoch after linear warm-up': (
        dict(policy='step', step=2, gamma=0.5, warmup='linear', warmup_iters=4, warmup_ratio=0.1),
        EPOCHS,
        '0.002 0.0065 0.011 0.0155 0.02 0.02 0.01 0.01 0.01 0.01 0.01 0.01',
    ),
    'step with a period by iteration after linear warm-up': (
        dict(policy='step', step=5, gamma=0.5, warmup='linear', warmup_iters=4, warmup_ratio=0.1),
        ITERATIONS,
        '0.002 0.0065 0.011 0.0155 0.02 0.01 0.01 0.01 0.01 0.01 0.005 0.005',
    ),
    'step with a period by epoch after exp warm-up': (
        dict(policy='step', step=2, gamma=0.5, warmup='exp', warmup_iters=4, warmup_ratio=0.01),
        EPOCHS,
        '0.0002 0.000632455532 0.002 0.00632455532 0.02 0.02 0.01 0.01 0.01 0.01 0.01 0.01',
    ),
    'step with a period by iteration after exp warm-up': (
        dict(policy='step', step=5, gamma=0.5, warmup='exp', warmup_iters=4, warmup_ratio=0.01),
        ITERATIONS,
        '0.0002 0.000632455532 0.002 0.00632455532 0.02 0.01 0.01 0.01 0.01 0.01 0.005 0.005',
    ),
    'step down to min_lr by epoch': (
        dict(policy='step', step=[1, 2], min_lr=0.0005),
        EPOCHS,
        '0.02 0.02 0.02 0.002 0.002 0.002 0.0005 0.0005 0.0005 0.0005 0.0005 0.0005',
    ),
    'step down to min_lr by iteration': (
        dict(policy='step', step=[5, 9], min_lr=0.0005),
        ITERATIONS,
        '0.02 0.02 0.02 0.02 0.02 0.002 0.002 0.002 0.002 0.0005 0.0005 0.0005',
    ),
    'step down to min_lr by epoch after constant warm-up': (
        dict(policy='step', step=[1, 2], min_lr=0.0005, warmup='constant', warmup_iters=4, warmup_ratio=0.25),
        EPOCHS,
        '0.005 0.005 0.005 0.0005 0.002 0.002 0.0005 0.0005 0.0005 0.0005 0.0005 0.0005',
    ),
    'step down to min_lr by iteration after constant warm-up': (
        dict(policy='step', step=[5, 9], min_lr=0.0005, warmup='constant', warmup_iters=4, warmup_ratio=0.25),
        ITERATIONS,
        '0.005 0.005 0.005 0.005 0.02 0.002 0.002 0.002 0.002 0.0005 0.0005 0.0005',
    ),
    'step down to min_lr by epoch after linear warm-up': (
        dict(policy='step', step=[1, 2], min_lr=0.0005, warmup='linear', warmup_iters=4, warmup_ratio=0.1),
        EPOCHS,
        '0.002 0.0065 0.011 0.00155 0.002 0.002 0.0005 0.0005 0.0005 0.0005 0.0005 0.0005',
    ),
    'step down to min_lr by iteration after linear warm-up': (
        dict(policy='step', step=[5, 9], min_lr=0.0005, warmup='linear', warmup_iters=4, warmup_ratio=0.1),
        ITERATIONS,
        '0.002 0.0065 0.011 0.0155 0.02 0.002 0.002 0.002 0.002 0.0005 0.0005 0.0005',
    ),
    'step down to min_lr by epoch after exp warm-up': (
        dict(policy='step', step=[1, 2], min_lr=0.0005, warmup='exp', warmup_iters=4, warmup_ratio=0.01),
        EPOCHS,
        '0.0002 0.000632455532 0.002 0.000632455532 0.002 0.002 0.0005 0.0005 0.0005 0.0005 0.0005 0.0005',
    ),
    'step down to min_lr by iteration after exp warm-up': (
        dict(policy='step', step=[5, 9], min_lr=0.0005, warmup='exp', warmup_iters=4, warmup_ratio=0.01),
        ITERATIONS,
        '0.0002 0.000632455532 0.002 0.00632455532 0.02 0.002 0.002 0.002 0.002 0.0005 0.0005 0.0005',
    ),
    'cosine by epoch': (
        dict(policy='CosineAnnealing', min_lr=0),
        EPOCHS,
        '0.02 0.02 0.02 0.0170710678 0.0170710678 0.0170710678 '
        '0.01 0.01 0.01 0.00292893219 0.00292893219 0.00292893219',
    ),
    'cosine by iteration': (
        dict(policy='CosineAnnealing', min_lr=0),
        ITERATIONS,
        '0.02 0.0196592583 0.018660254 0.0170710678 0.015 0.0125881905 '
        '0.01 0.00741180955 0.005 0.00292893219 0.00133974596 0.000340741737',
    ),
    'cosine by epoch after constant warm-up': (
        dict(policy='CosineAnnealing', min_lr=0, warmup='constant', warmup_iters=4, warmup_ratio=0.25),
        EPOCHS,
        '0.005 0.005 0.005 0.00426776695 0.0170710678 0.0170710678 '
        '0.01 0.01 0.01 0.00292893219 0.00292893219 0.00292893219',
    ),
    'cosine by iteration after constant warm-up': (
        dict(policy='CosineAnnealing', min_lr=0, warmup='constant', warmup_iters=4, warmup_ratio=0.25),
        ITERATIONS,
        '0.005 0.00491481457 0.00466506351 0.00426776695 0.015 0.0125881905 '
        '0.01 0.00741180955 0.005 0.00292893219 0.00133974596 0.000340741737',
    ),
    'cosine by epoch after linear warm-up': (
        dict(policy='CosineAnnealing', min_lr=0, warmup='linear', warmup_iters=4, warmup_ratio=0.1),
        EPOCHS,
        '0.002 0.0065 0.011 0.0132300776 0.0170710678 0.0170710678 '
        '0.01 0.01 0.01 0.00292893219 0.00292893219 0.00292893219',
    ),
    'cosine by iteration after linear warm-up': (
        dict(policy='CosineAnnealing', min_lr=0, warmup='linear', warmup_iters=4, warmup_ratio=0.1),
        ITERATIONS,
        '0.002 0.00638925894 0.0102631397 0.0132300776 0.015 0.0125881905 '
        '0.01 0.00741180955 0.005 0.00292893219 0.00133974596 0.000340741737',
    ),
    'cosine by epoch after exp warm-up': (
        dict(policy='CosineAnnealing', min_lr=0, warmup='exp', warmup_iters=4, warmup_ratio=0.01),
        EPOCHS,
        '0.0002 0.000632455532 0.002 0.00539834564 0.0170710678 0.0170710678 '
        '0.01 0.01 0.01 0.00292893219 0.00292893219 0.00292893219',
    ),
    'cosine by iteration after exp warm-up': (
        dict(policy='CosineAnnealing', min_lr=0, warmup='exp', warmup_iters=4, warmup_ratio=0.01),
        ITERATIONS,
        '0.0002 0.000621680332 0.0018660254 0.00539834564 0.015 0.0125881905 '
        '0.01 0.00741180955 0.005 0.00292893219 0.00133974596 0.000340741737',
    ),
    'poly by epoch': (
        dict(policy='poly', power=0.9),
        EPOCHS,
        '0.02 0.02 0.02 0.0154377901 0.0154377901 0.0154377901 '
        '0.0107177346 0.0107177346 0.0107177346 0.00574349177 0.00574349177 0.00574349177',
    ),
    'poly by iteration': (
        dict(policy='poly', power=0.9),
        ITERATIONS,
        '0.02 0.0184935502 0.0169733229 0.0154377901 0.0138850633 0.0123127514 '
        '0.0107177346 0.00909577855 0.00744082116 0.00574349177 0.00398743733 0.00213681476',
    ),
    'poly by epoch after constant warm-up': (
        dict(policy='poly', power=0.9, warmup='constant', warmup_iters=4, warmup_ratio=0.25),
        EPOCHS,
        '0.005 0.005 0.005 0.00385944753 0.0154377901 0.0154377901 '
        '0.0107177346 0.0107177346 0.0107177346 0.00574349177 0.00574349177 0.00574349177',
    ),
    'poly by iteration after constant warm-up': (
        dict(policy='poly', power=0.9, warmup='constant', warmup_iters=4, warmup_ratio=0.25),
        ITERATIONS,
        '0.005 0.00462338755 0.00424333073 0.00385944753 0.0138850633 0.0123127514 '
        '0.0107177346 0.00909577855 0.00744082116 0.00574349177 0.00398743733 0.00213681476',
    ),
    'poly by epoch after linear warm-up': (
        dict(policy='poly', power=0.9, warmup='linear', warmup_iters=4, warmup_ratio=0.1),
        EPOCHS,
        '0.002 0.0065 0.011 0.0119642874 0.0154377901 0.0154377901 '
        '0.0107177346 0.0107177346 0.0107177346 0.00574349177 0.00574349177 0.00574349177',
    ),
    'poly by iteration after linear warm-up': (
        dict(policy='poly', power=0.9, warmup='linear', warmup_iters=4, warmup_ratio=0.1),
        ITERATIONS,
        '0.002 0.00601040382 0.00933532761 0.0119642874 0.0138850633 0.0123127514 '
        '0.0107177346 0.00909577855 0.00744082116 0.00574349177 0.00398743733 0.00213681476',
    ),
    'poly by epoch after exp warm-up': (
        dict(policy='poly', power=0.9, warmup='exp', warmup_iters=4, warmup_ratio=0.01),
        EPOCHS,
        '0.0002 0.000632455532 0.002 0.00488185789 0.0154377901 0.0154377901 '
        '0.0107177346 0.0107177346 0.0107177346 0.00574349177 0.00574349177 0.00574349177',
    ),
    'poly by iteration after exp warm-up': (
        dict(policy='poly', power=0.9, warmup='exp', warmup_iters=4, warmup_ratio=0.01),
        ITERATIONS,
        '0.0002 0.000584817407 0.00169733229 0.00488185789 0.0138850633 0.0123127514 '
        '0.0107177346 0.00909577855 0.00744082116 0.00574349177 0.00398743733 0.00213681476',
    ),
    'cosine by iteration of an epoch loop after linear warm-up': (
        dict(policy='CosineAnnealing', min_lr=0, by_epoch=False, warmup='linear', warmup_iters=4, warmup_ratio=0.1),
        EPOCHS,
        '0.002 0.00638925894 0.0102631397 0.0132300776 0.015 0.0125881905 '
        '0.01 0.00741180955 0.005 0.00292893219 0.00133974596 0.000340741737',
    ),
    'step by iteration of an epoch loop': (
        dict(policy='step', step=[5, 9], by_epoch=False),
        EPOCHS,
        '0.02 0.02 0.02 0.02 0.02 0.002 0.002 0.002 0.002 0.0002 0.0002 0.0002',
    ),
    'cosine with min_lr_ratio after a warm-up in the first epoch': (
        dict(policy='CosineAnnealing', min_lr_ratio=0.1, warmup='linear', warmup_iters=3, warmup_ratio=0.1),
        EPOCHS,
        '0.002 0.008 0.014 0.017363961 0.017363961 0.017363961 '
        '0.011 0.011 0.011 0.00463603897 0.00463603897 0.00463603897',
    ),
    'poly with min_lr after a warm-up in the first epoch': (
        dict(policy='poly', min_lr=0.001, warmup='exp', warmup_iters=2, warmup_ratio=0.1),
        EPOCHS,
        '0.002 0.00632455532 0.02 0.01525 0.01525 0.01525 0.0105 0.0105 0.0105 0.00575 0.00575 0.00575',
    ),
    'constant warm-up by epoch': (
        dict(policy='step', step=[1, 3], warmup='constant', warmup_iters=2, warmup_by_epoch=True, warmup_ratio=0.5),
        EPOCHS,
        '0.01 0.01 0.01 0.001 0.001 0.001 0.002 0.002 0.002 0.0002 0.0002 0.0002',
    ),
    'fixed after linear warm-up': (
        dict(policy='fixed', warmup='linear', warmup_iters=4, warmup_ratio=0.1),
        EPOCHS,
        '0.002 0.0065 0.011 0.0155 0.02 0.02 0.02 0.02 0.02 0.02 0.02 0.02',
    ),
    'exp by epoch': (
        dict(policy='exp', gamma=0.7),
        EPOCHS,
        '0.02 0.02 0.02 0.014 0.014 0.014 0.0098 0.0098 0.0098 0.00686 0.00686 0.00686',
    ),
    'linear annealing by epoch after linear warm-up': (
        dict(policy='LinearAnnealing', min_lr=0.002, warmup='linear', warmup_iters=4, warmup_ratio=0.1),
        EPOCHS,
        '0.002 0.0065 0.011 0.0120125 0.0155 0.0155 0.011 0.011 0.011 0.0065 0.0065 0.0065',
    ),
    'flat cosine by iteration after linear warm-up': (
        dict(
            policy='FlatCosineAnnealing',
            start_percent=0.5,
            min_lr_ratio=0.1,
            warmup='linear',
            warmup_iters=4,
            warmup_ratio=0.1,
        ),
        ITERATIONS,
        '0.002 0.0065 0.011 0.0155 0.02 0.02 0.02 0.0187942286 0.0155 0.011 0.0065 0.00320577137',
    ),
    'cosine restarts by epoch': (
        dict(policy='CosineRestart', periods=[1, 3], restart_weights=[1, 0.5], min_lr=0),
        EPOCHS,
        '0.02 0.02 0.02 0.01 0.01 0.01 0.0075 0.0075 0.0075 0.0025 0.0025 0.0025',
    ),
    'one cycle in an epoch loop': (
        dict(policy='OneCycle', max_lr=0.1),
        EPOCHS,
        '0.004 0.0349789654 0.0879285159 0.0994415435 0.093301297 0.0811745654 '
        '0.0647378998 0.0462637103 0.0283060998 0.013347753 0.00345669874 4e-07',
    ),
    'YOLOX': (
        dict(
            policy='YOLOX',
            by_epoch=False,
            warmup='exp',
            warmup_by_epoch=True,
            warmup_ratio=1,
            warmup_iters=1,
            num_last_epochs=1,
            min_lr_ratio=0.05,
        ),
        EPOCHS,
        '0.00222222222 0.00888888889 0.02 0.0187272413 0.01525 0.0105 0.00575 0.00227275866 0.001 0.001 0.001 0.001',
    ),
    'milestones out of order': (
        dict(policy='step', step=[3, 1]),
        EPOCHS,
        '0.02 0.02 0.02 0.02 0.02 0.02 0.02 0.02 0.02 0.0002 0.0002 0.0002',
    ),
}
# No scheduler of MMEngine gives the identical value:
CLOSE: dict[str, Curve] = {
    'cosine by iteration with min_lr': (
        dict(policy='CosineAnnealing', min_lr=0.001, warmup='linear', warmup_iters=4, warmup_ratio=0.1),
        ITERATIONS,
        '0.002 0.00639479599 0.0102999827 0.0133435737 0.01525 0.0129587809 '
        '0.0105 0.00804121907 0.00575 0.00378248558 0.00227275866 0.00132370465',
    ),
    'poly by iteration with min_lr': (
        dict(policy='poly', min_lr=0.001, power=0.9, warmup='constant', warmup_iters=4, warmup_ratio=0.25),
        ITERATIONS,
        '0.005 0.00464221818 0.0042811642 0.00391647516 0.0141908101 0.0126971138 '
        '0.0111818479 0.00964098962 0.0080687801 0.00645631719 0.00478806546 0.00302997402',
    ),
    'linear warm-up by epoch': (
        dict(policy='step', step=[2], warmup='linear', warmup_iters=1, warmup_ratio=0.1, warmup_by_epoch=True),
        EPOCHS,
        '0.002 0.008 0.014 0.02 0.02 0.02 0.002 0.002 0.002 0.002 0.002 0.002',
    ),
    'poly by iteration of an epoch loop': (
        dict(policy='poly', by_epoch=False),
        EPOCHS,
        '0.02 0.0183333333 0.0166666667 0.015 0.0133333333 0.0116666667 '
        '0.01 0.00833333333 0.00666666667 0.005 0.00333333333 0.00166666667',
    ),
    'cosine with min_lr over a warm-up of two epochs': (
        dict(policy='CosineAnnealing', min_lr=0.001, warmup='linear', warmup_iters=4, warmup_ratio=0.1),
        EPOCHS,
        '0.002 0.0065 0.011 0.0133435737 0.0172175144 0.0172175144 '
        '0.0105 0.0105 0.0105 0.00378248558 0.00378248558 0.00378248558',
    ),
}
