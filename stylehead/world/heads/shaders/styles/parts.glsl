// Not a style: which part of a head a pixel shows. Red is skin, green hair, blue clothes; glasses are none.
#define PART_SKIN vec3(1, 0, 0)
#define PART_HAIR vec3(0, 1, 0)
#define PART_CLOTHES vec3(0, 0, 1)
#define SKIN_INSIDE PART_SKIN

#define STYLE_FINISH
vec3 style_finish(Surface s) {
#if defined(MATERIAL_HAIR) || defined(MATERIAL_FUR)
    return PART_HAIR;
#elif defined(MATERIAL_SHIRT)
    return PART_CLOTHES;
#elif defined(MATERIAL_GLASSES)
    return vec3(0);
#elif defined(MATERIAL_SKIN)
    return detail_a.y > .002 && head.scalp_hair > .5 ? PART_HAIR : PART_SKIN;  // detail_a.y: above the hairline
#else
    return PART_SKIN;
#endif
}
