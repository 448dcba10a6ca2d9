import { type ClipShape, tinyShape } from '../../services/models/classifier/tiny-clip.ts'

/** Of `openai/clip-vit-base-patch32`, but for the vocabulary. */
export const basePatch32: ClipShape = {
  ...tinyShape,
  projection_dim: 512,
  text_config: {
    ...tinyShape.text_config,
    hidden_size: 512,
    intermediate_size: 2048,
    num_hidden_layers: 12,
    num_attention_heads: 8,
    projection_dim: 512,
  },
  vision_config: {
    ...tinyShape.vision_config,
    hidden_size: 768,
    intermediate_size: 3072,
    num_hidden_layers: 12,
    num_attention_heads: 12,
    image_size: 224,
    patch_size: 32,
    projection_dim: 512,
  },
}
