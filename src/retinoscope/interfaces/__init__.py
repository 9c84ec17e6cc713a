"""Visual interfaces: what stands between frozen towers and a language model."""

from ._attention import attention_weights
from ._dense_refiner import DenseRefiner
from ._detector_refiner import DetectorRefiner
from ._detectors import Detections, Detector, PretrainedDetector
from ._draw import DrawnImage, draw, draw_codes
from ._interface import InterfaceTokens, Seen, VisualInterface
from ._lavit import Lavit
from ._lyrics import Lyrics
from ._mae_decoder import MaeDecoder, hidden_error, patch_pixels
from ._model import (
    MODEL_TYPE,
    InterfaceConfig,
    InterfaceForConditionalGeneration,
    register,
    require_room,
)
from ._new_words import NewWords, widen
from ._opened import (
    PREFIX,
    WEIGHTS,
    assemble,
    open_decoder,
    open_packaged,
    packaged,
    packaged_names,
)
from ._qformer import QFormer, Reading, TextInput, reading_mask
from ._refiner import BINS, REFINERS, Refiner, SeenObjects, build_refiner
from ._refiner_errors import RefinerErrors
from ._scl import SemanticCompletion
from ._systems import INTERFACES, build_interface
from ._text_tower import TextTower
from ._tower import TowerShape, build_tower, from_pixels, to_pixels, tower_tokens
from ._towers_file import Towers, TowersShape, open_towers, untrained_towers, write_towers
from ._trained import TrainedInterface, read_trained, shared_part
from ._two_streams import Fused, TwoStreams
from ._visionlan import VisionLan
from ._vocabulary import interface_processor, interface_tokenizer
from ._x_former import NormPlace, XFormer
from .reader import (
    END,
    WINDOW,
    LetterTransformer,
    ParallelPrediction,
    ReaderShape,
    StoredReader,
    WordReader,
    WordReading,
    crop_boards,
    open_reader,
    round_as_stored,
    sinusoids,
    write_reader,
)

__all__ = [
    "BINS",
    "END",
    "INTERFACES",
    "MODEL_TYPE",
    "PREFIX",
    "REFINERS",
    "WEIGHTS",
    "WINDOW",
    "DenseRefiner",
    "Detections",
    "Detector",
    "DetectorRefiner",
    "DrawnImage",
    "Fused",
    "InterfaceConfig",
    "InterfaceForConditionalGeneration",
    "InterfaceTokens",
    "Lavit",
    "LetterTransformer",
    "Lyrics",
    "MaeDecoder",
    "NewWords",
    "NormPlace",
    "ParallelPrediction",
    "PretrainedDetector",
    "QFormer",
    "ReaderShape",
    "Reading",
    "Refiner",
    "RefinerErrors",
    "Seen",
    "SeenObjects",
    "SemanticCompletion",
    "StoredReader",
    "TextInput",
    "TextTower",
    "TowerShape",
    "Towers",
    "TowersShape",
    "TrainedInterface",
    "TwoStreams",
    "VisionLan",
    "VisualInterface",
    "WordReader",
    "WordReading",
    "XFormer",
    "assemble",
    "attention_weights",
    "build_interface",
    "build_refiner",
    "build_tower",
    "crop_boards",
    "draw",
    "draw_codes",
    "from_pixels",
    "hidden_error",
    "interface_processor",
    "interface_tokenizer",
    "open_decoder",
    "open_packaged",
    "open_reader",
    "open_towers",
    "packaged",
    "packaged_names",
    "patch_pixels",
    "read_trained",
    "reading_mask",
    "register",
    "require_room",
    "round_as_stored",
    "shared_part",
    "sinusoids",
    "to_pixels",
    "tower_tokens",
    "untrained_towers",
    "widen",
    "write_reader",
    "write_towers",
]

register()
