"""The roles that a column can play in detection: the keys of ``deeplake_tensors``."""

REQUIRED_ROLES = ('img', 'gt_bboxes', 'gt_labels')
OPTIONAL_ROLES = ('gt_masks', 'gt_iscrowd', 'gt_difficult', 'gt_ignore', 'gt_areas', 'img_id', 'height', 'width')
TENSOR_ROLES = REQUIRED_ROLES + OPTIONAL_ROLES

# Metadata `format` of a text column whose rows are JSON lists of COCO segmentations: as a COCO file holds them, bitmaps
# packed as run lengths, or rings in fractions of the image's width and height.
COCO_SEGMENTATION, COCO_RLE, COCO_FRACTIONAL = 'coco_segmentation', 'coco_rle', 'coco_segmentation_fractional'
MASK_FORMATS = (COCO_SEGMENTATION, COCO_RLE, COCO_FRACTIONAL)
