"""The architectures of transformers that are measured, each small, by class and config."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

WORDS = 120
TEXT = {
    "vocab_size": WORDS,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
}
CAUSAL = TEXT | {"num_key_value_heads": 2, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
GPT = {
    "vocab_size": WORDS,
    "n_embd": 32,
    "n_layer": 2,
    "n_head": 4,
    "n_positions": 64,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
SEQ2SEQ = {
    "vocab_size": WORDS,
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 1,
}
T5 = {
    "vocab_size": WORDS,
    "d_model": 32,
    "d_kv": 8,
    "d_ff": 64,
    "num_layers": 2,
    "num_heads": 4,
    "decoder_start_token_id": 0,
}
VISION = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "image_size": 32,
    "patch_size": 8,
}
SPEECH = {
    "vocab_size": 32,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "conv_dim": (16, 16),
    "conv_stride": (5, 4),
    "conv_kernel": (10, 8),
    "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
}

TEXTS: dict[str, tuple[str, Mapping[str, Any]]] = {
    "BertModel": ("BertConfig", TEXT),
    "BertForSequenceClassification": ("BertConfig", TEXT),
    "BertForTokenClassification": ("BertConfig", TEXT),
    "BertForQuestionAnswering": ("BertConfig", TEXT),
    "BertForMaskedLM": ("BertConfig", TEXT),
    "DistilBertForSequenceClassification": (
        "DistilBertConfig",
        {"vocab_size": WORDS, "dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64},
    ),
    "RobertaModel": ("RobertaConfig", TEXT),
    "XLMRobertaForTokenClassification": ("XLMRobertaConfig", TEXT),
    "CamembertForMaskedLM": ("CamembertConfig", TEXT),
    "AlbertModel": ("AlbertConfig", TEXT | {"embedding_size": 16}),
    "MPNetModel": ("MPNetConfig", TEXT),
    "DebertaV2Model": (
        "DebertaV2Config",
        TEXT | {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 8},
    ),
    "DebertaForSequenceClassification": (
        "DebertaConfig",
        TEXT | {"relative_attention": True, "pos_att_type": ["p2c", "c2p"]},
    ),
    "ElectraForSequenceClassification": ("ElectraConfig", TEXT | {"embedding_size": 16}),
    "MobileBertModel": (
        "MobileBertConfig",
        TEXT | {"true_hidden_size": 32, "embedding_size": 32, "intra_bottleneck_size": 32},
    ),
    "SqueezeBertModel": ("SqueezeBertConfig", TEXT | {"embedding_size": 32}),
    "RoFormerModel": ("RoFormerConfig", TEXT | {"embedding_size": 32}),
    "NystromformerModel": (
        "NystromformerConfig",
        TEXT | {"num_landmarks": 4, "segment_means_seq_len": 4},
    ),
    "FNetModel": ("FNetConfig", TEXT),
    "XLNetModel": (
        "XLNetConfig",
        {"vocab_size": WORDS, "d_model": 32, "n_layer": 2, "n_head": 4, "d_inner": 64},
    ),
    "ModernBertModel": (
        "ModernBertConfig",
        TEXT
        | {
            "local_attention": 8,
            "pad_token_id": 0,
            "bos_token_id": 1,
            "eos_token_id": 2,
            "cls_token_id": 1,
            "sep_token_id": 2,
        },
    ),
    "GPT2LMHeadModel": ("GPT2Config", GPT),
    "GPT2ForSequenceClassification": ("GPT2Config", GPT | {"pad_token_id": 0}),
    "GPTNeoForCausalLM": (
        "GPTNeoConfig",
        {
            "vocab_size": WORDS,
            "hidden_size": 32,
            "num_layers": 2,
            "num_heads": 4,
            "attention_types": [[["global", "local"], 1]],
            "window_size": 4,
            "max_position_embeddings": 64,
            "bos_token_id": 1,
            "eos_token_id": 2,
        },
    ),
    "GPTNeoXForCausalLM": ("GPTNeoXConfig", CAUSAL),
    "GPTJForCausalLM": ("GPTJConfig", GPT | {"rotary_dim": 4}),
    "OPTForCausalLM": (
        "OPTConfig",
        {
            "vocab_size": WORDS,
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "ffn_dim": 64,
            "max_position_embeddings": 64,
            "word_embed_proj_dim": 32,
            "pad_token_id": 0,
        },
    ),
    "BloomForCausalLM": (
        "BloomConfig",
        {"vocab_size": WORDS, "hidden_size": 32, "n_layer": 2, "n_head": 4},
    ),
    "LlamaForCausalLM": ("LlamaConfig", CAUSAL),
    "LlamaDynamicRope": (
        "LlamaConfig",
        CAUSAL
        | {
            "max_position_embeddings": 24,
            "rope_parameters": {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0},
        },
    ),
    "MistralForCausalLM": ("MistralConfig", CAUSAL | {"sliding_window": 8}),
    "Qwen2ForCausalLM": ("Qwen2Config", CAUSAL),
    "Qwen3ForCausalLM": ("Qwen3Config", CAUSAL | {"head_dim": 8}),
    "GemmaForCausalLM": ("GemmaConfig", CAUSAL | {"head_dim": 8}),
    "Gemma2ForCausalLM": ("Gemma2Config", CAUSAL | {"head_dim": 8, "sliding_window": 8}),
    "PhiForCausalLM": ("PhiConfig", CAUSAL),
    "Phi3ForCausalLM": ("Phi3Config", CAUSAL),
    "StableLmForCausalLM": ("StableLmConfig", CAUSAL),
    "MixtralForCausalLM": (
        "MixtralConfig",
        CAUSAL | {"num_local_experts": 4, "sliding_window": None},
    ),
    "MambaForCausalLM": (
        "MambaConfig",
        {
            "vocab_size": WORDS,
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "state_size": 8,
            "bos_token_id": 1,
            "eos_token_id": 2,
            "pad_token_id": 0,
        },
    ),
    "T5EncoderModel": ("T5Config", T5),
    "T5ForConditionalGeneration": ("T5Config", T5),
    "BartForConditionalGeneration": ("BartConfig", SEQ2SEQ),
    "MarianMTModel": ("MarianConfig", SEQ2SEQ),
    "PegasusForConditionalGeneration": ("PegasusConfig", SEQ2SEQ),
}
PICTURES: dict[str, tuple[str, Mapping[str, Any]]] = {
    "ViTModel": ("ViTConfig", VISION),
    "ViTForImageClassification": ("ViTConfig", VISION),
    "DeiTForImageClassification": ("DeiTConfig", VISION),
    "BeitForImageClassification": ("BeitConfig", VISION | {"use_relative_position_bias": True}),
    "Dinov2Model": ("Dinov2Config", VISION),
    "SwinForImageClassification": (
        "SwinConfig",
        {
            "image_size": 32,
            "patch_size": 2,
            "embed_dim": 16,
            "depths": [1, 1],
            "num_heads": [2, 4],
            "window_size": 4,
        },
    ),
    "Swinv2Model": (
        "Swinv2Config",
        {
            "image_size": 32,
            "patch_size": 2,
            "embed_dim": 16,
            "depths": [1, 1],
            "num_heads": [2, 4],
            "window_size": 4,
        },
    ),
    "ConvNextForImageClassification": (
        "ConvNextConfig",
        {"hidden_sizes": [8, 16, 16, 32], "depths": [1, 1, 1, 1], "image_size": 64},
    ),
    "ConvNextV2Model": (
        "ConvNextV2Config",
        {"hidden_sizes": [8, 16, 16, 32], "depths": [1, 1, 1, 1], "image_size": 64},
    ),
    "ResNetForImageClassification": (
        "ResNetConfig",
        {"hidden_sizes": [8, 16], "depths": [1, 1], "embedding_size": 8, "layer_type": "basic"},
    ),
    "MobileNetV2Model": ("MobileNetV2Config", {"image_size": 64, "depth_multiplier": 0.35}),
    "MobileViTModel": (
        "MobileViTConfig",
        {
            "image_size": 64,
            "hidden_sizes": [16, 24, 32],
            "neck_hidden_sizes": [8, 8, 16, 16, 24, 32, 48],
        },
    ),
    "RegNetModel": (
        "RegNetConfig",
        {"hidden_sizes": [8, 16], "depths": [1, 1], "embedding_size": 8, "groups_width": 8},
    ),
    "EfficientNetModel": (
        "EfficientNetConfig",
        {"image_size": 64, "width_coefficient": 0.3, "depth_coefficient": 0.3, "hidden_dim": 384},
    ),
    "PoolFormerModel": (
        "PoolFormerConfig",
        {"hidden_sizes": [8, 8, 16, 16], "depths": [1, 1, 1, 1]},
    ),
    "SegformerForSemanticSegmentation": (
        "SegformerConfig",
        {
            "hidden_sizes": [8, 8, 16, 16],
            "depths": [1, 1, 1, 1],
            "num_attention_heads": [1, 1, 2, 2],
            "decoder_hidden_size": 16,
            "image_size": 64,
        },
    ),
    "DPTForDepthEstimation": (
        "DPTConfig",
        VISION
        | {
            "num_hidden_layers": 4,
            "backbone_out_indices": [0, 1, 2, 3],
            "neck_hidden_sizes": [8, 8, 16, 16],
            "fusion_hidden_size": 16,
        },
    ),
    "YolosForObjectDetection": (
        "YolosConfig",
        VISION | {"image_size": [32, 32], "num_detection_tokens": 5},
    ),
}
SOUNDS: dict[str, tuple[str, Mapping[str, Any]]] = {
    "Wav2Vec2ForCTC": ("Wav2Vec2Config", SPEECH),
    "HubertModel": ("HubertConfig", SPEECH),
    "WavLMModel": ("WavLMConfig", SPEECH),
}
