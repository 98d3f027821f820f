"""Tiny random networks of transformers, of the classes that `smalti annotate` uses by default."""

from pathlib import Path
from typing import Any

import torch
import transformers
from transformers.models.dpt.image_processing_pil_dpt import DPTImageProcessorPil
from transformers.models.rt_detr.image_processing_pil_rt_detr import RTDetrImageProcessorPil
from transformers.models.segformer.image_processing_pil_segformer import SegformerImageProcessorPil
from transformers.models.vitpose.image_processing_pil_vitpose import VitPoseImageProcessorPil

from smalti.annotate.networks import _quiet

CLASS_NAMES = ("sky", "sea", "sand")
JOINTS = ("Nose", "L_Eye", "R_Eye")


def names(*labels: str) -> dict[str, Any]:
    return {
        "id2label": dict(enumerate(labels)),
        "label2id": {label: number for number, label in enumerate(labels)},
    }


def depth(seed: int = 0) -> Any:
    torch.manual_seed(seed)
    backbone = transformers.Dinov2Config(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=28,
        patch_size=14,
        out_indices=[1, 2],
        reshape_hidden_states=False,
        apply_layernorm=True,
    )
    config = transformers.DepthAnythingConfig(
        backbone_config=backbone,
        reassemble_hidden_size=16,
        reassemble_factors=[1, 0.5],
        neck_hidden_sizes=[8, 8],
        fusion_hidden_size=8,
        head_hidden_size=4,
        patch_size=14,
    )
    return transformers.DepthAnythingForDepthEstimation(config)


def segmenter() -> Any:
    """Network of three classes."""
    torch.manual_seed(0)
    backbone = transformers.ConvNextConfig(
        depths=[1, 1, 1, 1],
        hidden_sizes=[8, 8, 8, 8],
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )
    config = transformers.UperNetConfig(
        backbone_config=backbone,
        hidden_size=8,
        auxiliary_in_channels=8,
        auxiliary_channels=8,
        **names(*CLASS_NAMES),
    )
    return transformers.UperNetForSemanticSegmentation(config)


def pose() -> Any:
    torch.manual_seed(0)
    backbone = transformers.VitPoseBackboneConfig(
        image_size=[64, 48],
        patch_size=[16, 16],
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        out_features=["stage1"],
    )
    network = transformers.VitPoseForPoseEstimation(
        transformers.VitPoseConfig(backbone_config=backbone, **names(*JOINTS))
    )
    torch.nn.init.constant_(network.head.conv.bias, 1.0)  # it is sure of every joint
    return network


def detector(first: str = "person", is_sure: bool = True) -> Any:
    torch.manual_seed(0)
    backbone = transformers.RTDetrResNetConfig(
        embedding_size=8,
        hidden_sizes=[8, 8, 8, 8],
        depths=[1, 1, 1, 1],
        layer_type="basic",
        out_features=["stage2", "stage3", "stage4"],
    )
    config = transformers.RTDetrConfig(
        backbone_config=backbone,
        encoder_hidden_dim=16,
        encoder_in_channels=[8, 8, 8],
        feat_strides=[8, 16, 32],
        encoder_layers=1,
        encoder_ffn_dim=16,
        encoder_attention_heads=2,
        d_model=16,
        num_queries=5,
        decoder_in_channels=[16, 16, 16],
        decoder_ffn_dim=16,
        decoder_layers=1,
        decoder_attention_heads=2,
        decoder_n_points=2,
        num_denoising=0,
        **names(first, "dog"),
    )
    network = transformers.RTDetrForObjectDetection(config)
    for layer in network.model.decoder.class_embed:
        torch.nn.init.constant_(layer.bias, -9.0)
        layer.bias.data[0] = 9.0 if is_sure else -9.0
    return network


def save(network: Any, folder: Path) -> Path:
    """Save a network with the image processor of its kind."""
    size = {"height": 64, "width": 64}
    processor = {
        "depth_anything": DPTImageProcessorPil(
            size={"height": 28, "width": 28}, keep_aspect_ratio=True, ensure_multiple_of=14
        ),
        "upernet": SegformerImageProcessorPil(size=size),
        "vitpose": VitPoseImageProcessorPil(size={"height": 64, "width": 48}),
        "rt_detr": RTDetrImageProcessorPil(size=size),
    }[network.config.model_type]
    with _quiet():
        network.save_pretrained(folder)
        processor.save_pretrained(folder)
    return folder
