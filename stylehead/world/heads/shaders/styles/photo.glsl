// A photograph: what the materials say.
#define EYE_SHADOW .55
