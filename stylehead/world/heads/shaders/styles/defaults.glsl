// Everything that a style can change, as it is in a photograph. A style's file is read first: it defines the names
// in capitals that it changes, and for a function also the function.

// Numbers and colours.
#ifndef SKIN_INSIDE
#define SKIN_INSIDE vec3(.13, .06, .05)      // shown as it is, without light
#endif
#ifndef PORES
#define PORES .10                            // depth of the skin's grain
#endif
#ifndef EYE_SHADOW
#define EYE_SHADOW 0.                        // how much make-up around the eyes shows
#endif
#ifndef BROW_OPACITY
#define BROW_OPACITY (.86 * clamp(.55 + head.brow_thickness * .6, 0., 1.))
#endif
#ifndef STRAND_RELIEF
#define STRAND_RELIEF .75
#endif
#ifndef IRIS_RADIUS
#define IRIS_RADIUS .0062                    // metres
#endif
#ifndef EYE_SHINE
#define EYE_SHINE 1.                         // 0: eyes without highlight
#endif
#ifndef EYE_GLOW
#define EYE_GLOW 0.                          // light from the iris itself
#endif
#ifndef TEETH_COLOUR
#define TEETH_COLOUR vec3(.78, .75, .68)
#endif
#ifndef TONGUE_COLOUR
#define TONGUE_COLOUR vec3(.48, .13, .13)
#endif

// Colour of hair, brows, beard and fur.
#ifndef STYLE_HAIR_COLOUR
vec3 style_hair_colour(vec3 natural) { return natural; }
#endif

// Brightness of a strand from its random value.
#ifndef STYLE_STRAND_SHADE
float style_strand_shade(float strand) { return .40 + 1.15 * strand; }
#endif

// Melanin and blood of the skin at a point.
#ifndef STYLE_PIGMENTS
void style_pigments(inout float melanin, inout float blood, Face f, float ear) {}
#endif

#ifndef STYLE_SKIN_TONE
vec3 style_skin_tone(vec3 albedo) { return albedo; }
#endif

// Wrap, highlights and openness of the skin.
#ifndef STYLE_SKIN_LIGHT
void style_skin_light(inout Surface s) {}
#endif

#ifndef STYLE_WRINKLES
float style_wrinkles(float natural) { return natural; }
#endif

// The pattern of shaved hairs, 0..1.
#ifndef STYLE_STUBBLE
float style_stubble(float dots) { return dots; }
#endif

// Paint over everything else on the skin.
#ifndef STYLE_SKIN_PAINT
void style_skin_paint(inout Surface s, Face f, Paint p) {}
#endif

#ifndef STYLE_EYE
void style_eye(inout EyeColours colours, float angle, float from_pupil) {}
#endif

// The highlight at a point of the unit sphere.
#ifndef STYLE_EYE_HIGHLIGHT
float style_eye_highlight(vec3 c) { return ramp(.985, .995, dot(c, normalize(vec3(.22, .30, .93)))); }
#endif

#ifndef STYLE_EYE_FINISH
void style_eye_finish(inout Surface s, float from_pupil, float pupil, float limbus) {}
#endif

#ifndef STYLE_CLOTH
vec3 style_cloth(vec3 cloth, float rib) { return cloth; }
#endif

// From the surface to the colour on the screen.
#ifndef STYLE_FINISH
vec3 style_finish(Surface s) { return developed(lit(s) + s.emission); }
#endif
