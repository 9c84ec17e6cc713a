"""Frozen encoders: the features of any layer of any model, with their locations in the image.

    enc = load("pocket")                        # or a ViT, a DINOv2, a CLIP, "timm:NAME", ...
    features = enc.features(image, ["vision.3", "projector"])
    features["vision.3"], features.boxes, features.grid
    cached_features(enc, samples, ["vision.3"], "features")     # once per image and layer

    two = load_contrastive("openai/clip-vit-base-patch16")
    two.text(["a photo of a cat"]), two.image(image), two.locations(image)["joint"]

    load_matching("Salesforce/blip-itm-base-coco")     # its maps: retinoscope.saliency.matching

`retinoscope.recipes.encoders` trains the packaged comparison ("small:mae",
"small:contrastive-max", ...). Nothing here trains: encoders are in evaluation mode and run without
gradients, and `checksum()` shows whether their parameters were changed.
"""

from ._cache import CachedFeatures, cached_features
from ._encoder import Encoder, TrainingRun, checksum_of
from ._features import Features
from ._load import load, load_contrastive, load_matching
from ._matcher import Matcher
from ._small import SMALL, check_unseen, small_names
from ._two_tower import TwoTower

__all__ = [
    "SMALL",
    "CachedFeatures",
    "Encoder",
    "Features",
    "Matcher",
    "TrainingRun",
    "TwoTower",
    "cached_features",
    "check_unseen",
    "checksum_of",
    "load",
    "load_contrastive",
    "load_matching",
    "small_names",
]
