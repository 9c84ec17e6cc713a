"""Refiners around detectors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from refined import SHAPE
from transformers import (
    BertConfig,
    BertTokenizerFast,
    GroundingDinoConfig,
    GroundingDinoForObjectDetection,
    GroundingDinoImageProcessorPil,
    GroundingDinoProcessor,
    RTDetrConfig,
    RTDetrForObjectDetection,
    RTDetrImageProcessorPil,
    RTDetrResNetConfig,
    SwinConfig,
    YolosConfig,
    YolosForObjectDetection,
    YolosImageProcessorPil,
)

from retinoscope.errors import InputError
from retinoscope.interfaces import (
    Detections,
    DetectorRefiner,
    Lyrics,
    PretrainedDetector,
    build_refiner,
)

IMAGES = [
    np.random.default_rng(seed).integers(0, 255, (36, 36, 3), dtype=np.uint8) for seed in range(2)
]
CPU = torch.device("cpu")


class Fixed:
    """A detector that finds the same two objects everywhere, or none in black images."""

    names = ("cat", "remote control")
    d_state = 0

    def __call__(self, images: Sequence[np.ndarray], device: torch.device) -> list[Detections]:
        boxes = torch.tensor([[0.0, 0.0, 1 / 3, 1 / 3], [0.5, 0.5, 1.5, 1.0], [0.4, 0.4, 0.4, 0.6]])
        return [
            Detections(boxes, torch.tensor([0.6, 0.9, 0.99]), torch.tensor([1, 0, 0]))
            if image.any()
            else Detections(boxes[:0], torch.zeros(0), torch.zeros(0, dtype=torch.long))
            for image in images
        ]


def tokens(n: int) -> torch.Tensor:
    return torch.rand(n, 82, 36, generator=torch.Generator().manual_seed(0))


def test_objects_of_a_detector() -> None:
    refiner = DetectorRefiner(SHAPE, Fixed())
    read = tokens(1)
    found = refiner(torch.ones(1, 3, 36, 36), read).objects
    assert found.mask.tolist() == [[True] * 2 + [False] * 6]  # the third has no area
    assert found.tags[0, :3].tolist() == [0, 1, -1]  # the surest first
    torch.testing.assert_close(found.boxes[0, 0], torch.tensor([0.5, 0.5, 1.0, 1.0]))
    corner = [1, 2, 3, 10, 11, 12, 19, 20, 21]
    torch.testing.assert_close(found.features[0, 1], read[0, corner].mean(0))
    torch.testing.assert_close(found.patches.sum(-1), found.mask.float())


def test_less_sure_objects_are_left_out() -> None:
    refiner = DetectorRefiner(SHAPE, Fixed(), threshold=0.7, most=4)
    found = refiner(torch.ones(1, 3, 36, 36), tokens(1)).objects
    assert found.mask.tolist() == [[True, False, False, False]]


def test_nothing_found_is_read_as_the_empty_slot() -> None:
    tower = {"image": 36, "patch": 4, "width": 36, "layers": 1, "heads": 2, "ff": 16}
    interface = Lyrics(16, tower, refiner={"name": "detector", "detector": Fixed()}).eval()
    done = interface.encode(torch.full((1, 3, 36, 36), -1.0), origin=True)
    assert done.embeddings.isfinite().all()
    assert done.origin is not None
    assert not done.origin[:, 6:].any()


def yolos(folder: Path) -> int:
    config = YolosConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=[32, 32],
        patch_size=8,
        num_detection_tokens=5,
        id2label={0: "cat", 1: "dog", 2: "car"},
    )
    YolosForObjectDetection(config).save_pretrained(folder)
    YolosImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    return 16


def rt_detr(folder: Path) -> int:
    backbone = RTDetrResNetConfig(
        embedding_size=8,
        hidden_sizes=[8, 8, 16, 16],
        depths=[1, 1, 1, 1],
        out_features=["stage2", "stage3", "stage4"],
    )
    config = RTDetrConfig(
        backbone_config=backbone,
        encoder_hidden_dim=16,
        encoder_in_channels=[8, 16, 16],
        encoder_ffn_dim=16,
        encoder_attention_heads=2,
        d_model=16,
        num_queries=5,
        decoder_in_channels=[16, 16, 16],
        decoder_ffn_dim=16,
        decoder_attention_heads=2,
        decoder_layers=2,
        id2label={0: "cat", 1: "dog", 2: "car"},
    )
    RTDetrForObjectDetection(config).save_pretrained(folder)
    RTDetrImageProcessorPil(size={"height": 64, "width": 64}).save_pretrained(folder)
    return 16


def grounding_dino(folder: Path) -> int:
    words = [f"[unused{number}]" for number in range(1100)]
    known = {0: "[PAD]", 100: "[UNK]", 101: "[CLS]", 102: "[SEP]", 103: "[MASK]", 1012: "."}
    for number, word in {**known, 1029: "?", 500: "cat", 501: "red", 502: "car"}.items():
        words[number] = word
    tokenizer = BertTokenizerFast(vocab={word: number for number, word in enumerate(words)})
    vision = SwinConfig(
        image_size=64,
        embed_dim=8,
        depths=[1, 1, 1, 1],
        num_heads=[1, 1, 1, 1],
        window_size=2,
        out_features=["stage2", "stage3", "stage4"],
    )
    text = BertConfig(
        vocab_size=1100,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
    )
    config = GroundingDinoConfig(
        backbone_config=vision,
        text_config=text,
        d_model=32,
        encoder_layers=1,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        num_queries=6,
    )
    GroundingDinoForObjectDetection(config).save_pretrained(folder)
    pixels = GroundingDinoImageProcessorPil(size={"shortest_edge": 128, "longest_edge": 160})
    GroundingDinoProcessor(pixels, tokenizer).save_pretrained(folder)
    return 32


@pytest.mark.parametrize(
    ("made", "names"), [(yolos, ()), (rt_detr, ()), (grounding_dino, ("red car", "cat"))]
)
def test_detectors_of_transformers(made, names: tuple[str, ...], tmp_path: Path) -> None:
    torch.manual_seed(0)
    width = made(tmp_path)
    detector = PretrainedDetector(str(tmp_path), names)
    assert detector.names == (names or ("cat", "dog", "car"))
    assert detector.d_state == width
    with torch.no_grad():
        found = detector(IMAGES, CPU)
        alone = detector(IMAGES[1:], CPU)[0]
    for each in found:
        n = len(each.boxes)
        assert n
        assert len(each.boxes.unique(dim=0)) == n
        assert each.states is not None
        assert each.states.shape == (n, width)
        assert (each.scores.diff() <= 0).all()
        assert (each.labels < len(detector.names)).all()
    torch.testing.assert_close(found[1].boxes, alone.boxes)
    settings = {"name": "detector", "detector": str(tmp_path), "labels": names, "threshold": 0.0}
    refiner = build_refiner({**settings, "states": "detector", "most": 3}, SHAPE)
    assert refiner.d_feature == width
    assert not list(refiner.parameters())
    refined = refiner(torch.zeros(2, 3, 36, 36), tokens(2)).read
    assert refined.mask.any()
    assert refined.tokens().shape == (2, 3, refiner.d_object)


def test_states_are_those_of_the_box(tmp_path: Path) -> None:
    torch.manual_seed(0)
    rt_detr(tmp_path)
    model = RTDetrForObjectDetection.from_pretrained(tmp_path).eval()
    pixels = RTDetrImageProcessorPil.from_pretrained(tmp_path)(IMAGES, return_tensors="pt")
    with torch.no_grad():
        found = PretrainedDetector(str(tmp_path))(IMAGES, CPU)[0]
        given = model(**pixels)
    assert found.states is not None
    for box, state in zip(found.boxes, found.states, strict=True):
        query = int((given.last_hidden_state[0] - state).abs().sum(-1).argmin())
        torch.testing.assert_close(given.last_hidden_state[0, query], state)
        centre, size = given.pred_boxes[0, query].split(2)
        torch.testing.assert_close(torch.cat([centre - size / 2, centre + size / 2]), box)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"states": "detector", "detector": Fixed()}, "use states='tower'"),
        ({"threshold": 2, "detector": Fixed()}, "threshold"),
        ({}, "detector"),
    ],
)
def test_refusals(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message) as refused:
        build_refiner({"name": "detector", **options}, SHAPE)
    assert "\n" not in str(refused.value)


def test_a_folder_without_a_detector(tmp_path: Path) -> None:
    refiner = DetectorRefiner(SHAPE, str(tmp_path))
    with pytest.raises(InputError, match="expected an object detector of transformers") as refused:
        refiner(torch.zeros(1, 3, 36, 36), tokens(1))
    assert "\n" not in str(refused.value)
