"""The parts of models whose arguments differ between MMDetection 2.28 and 3, found by comparing all signatures."""

from __future__ import annotations

from typing import Any

from deeplake_mmdet.config.upgrade.notes import Notes

_RENAMED = {
    'CTResNetNeck': {'in_channel': 'in_channels'},
    'CenterNetHead': {'in_channel': 'in_channels', 'feat_channel': 'feat_channels'},
    'NormedLinear': {'tempearture': 'temperature'},
    'NormedConv2d': {'tempearture': 'temperature'},
}
_WITHOUT_EFFECT = {'NASFPN': {'add_extra_convs': 'it did nothing'}}
_STOCK = 'is built of other parts in MMDetection 3. Inherit the model of {} and change that.'
# Arguments without a counterpart.
_GONE_ARGUMENTS = {
    'DETRHead': {'transformer': _STOCK.format('mmdet::detr/detr_r50_8xb2-150e_coco.py')},
    'DeformableDETRHead': {
        'transformer': _STOCK.format('mmdet::deformable_detr/deformable-detr_r50_16xb2-50e_coco.py')
    },
    'MaskFormerHead': {
        'transformer_decoder.transformerlayers': _STOCK.format('mmdet::maskformer/maskformer_r50_ms-16xb1-75e_coco.py')
    },
    'Mask2FormerHead': {
        'transformer_decoder.transformerlayers': _STOCK.format(
            'mmdet::mask2former/mask2former_r50_8xb2-lsj-50e_coco.py'
        )
    },
    'YOLACT': {'segm_head': _STOCK.format('mmdet::yolact/yolact_r50_1xb8-55e_coco.py')},
    'PanopticFPNHead': {
        'fg_range': 'give num_things and num_stuff instead.',
        'bg_range': 'give num_things and num_stuff instead.',
        'num_classes': 'give num_things and num_stuff instead.',
    },
    'YOLOV3Head': {'init_cfg': 'MMDetection 3 initialises this head by itself. Remove it.'},
}
_GONE_TYPES = ('AscendAnchorHead', 'AscendMaxIoUAssigner', 'AscendRetinaHead', 'AscendSSDHead')
# The costs of the two assigners, in the order in which they are added, with what they are if nothing is said.
_COSTS: dict[str, dict[str, dict[str, Any]]] = {
    'HungarianAssigner': {
        'cls_cost': dict(type='ClassificationCost', weight=1.0),
        'reg_cost': dict(type='BBoxL1Cost', weight=1.0),
        'iou_cost': dict(type='IoUCost', iou_mode='giou', weight=1.0),
    },
    'MaskHungarianAssigner': {
        'cls_cost': dict(type='ClassificationCost', weight=1.0),
        'mask_cost': dict(type='FocalLossCost', weight=1.0, binary_input=True),
        'dice_cost': dict(type='DiceCost', weight=1.0),
    },
}


def upgrade_parts(node: Any, notes: Notes, where: str = 'model') -> None:
    """Translate a part of a model and all parts in it.

    Args:
        node: The part, changed in place.
        notes: Where translations and problems are noted.
        where: Its config key.
    """
    if isinstance(node, dict):
        _part(node, notes, where)
        for key, child in node.items():
            upgrade_parts(child, notes, f'{where}.{key}')
    elif isinstance(node, (list, tuple)):
        for i, child in enumerate(node):
            upgrade_parts(child, notes, f'{where}.{i}')


def _part(node: dict[str, Any], notes: Notes, where: str) -> None:
    kind = str(node.get('type', ''))
    for old, new in _RENAMED.get(kind, {}).items():
        if old in node:
            node[new] = node.pop(old)
            notes.translated(f'{kind}.{old}', f'{kind}.{new}')
    for key, why in _WITHOUT_EFFECT.get(kind, {}).items():
        if node.pop(key, None) is not None:
            notes.dropped(f'{kind}.{key}', why)
    for key, remedy in _GONE_ARGUMENTS.get(kind, {}).items():
        if _given(node, key):
            notes.problem(f'{where}.{key}', remedy)
    if kind in _GONE_TYPES:
        notes.problem(f'{where}.type={kind}', 'MMDetection 3 has no parts for Ascend. Remove the prefix.')
    if kind in _COSTS and 'match_costs' not in node:
        _match_costs(node, kind, notes)


def _given(node: Any, dotted: str) -> bool:
    for key in dotted.split('.'):
        if not isinstance(node, dict) or key not in node:
            return False
        node = node[key]
    return True


def _match_costs(node: dict[str, Any], kind: str, notes: Notes) -> None:
    node['match_costs'] = [node.pop(key, default) for key, default in _COSTS[kind].items()]
    node['type'] = 'HungarianAssigner'
    notes.translated(f'{kind}.{", ".join(_COSTS[kind])}', 'HungarianAssigner.match_costs')
