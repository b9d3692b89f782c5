/* plan_bytes.h - a plan as bytes and back: what is compared and kept between two starts (core/head_start). */
#ifndef MOONBOX_PLAN_BYTES_H
#define MOONBOX_PLAN_BYTES_H

#include "plan.h"

/* The plan's bytes, owned by the caller; two plans have the same bytes when they say the same and at no other time.
 * NULL with errno set. */
void *plan_encode(const struct plan *plan, size_t *length);

/* The plan of such bytes, to be freed with plan_free; NULL when they are anything else, or memory ran out. */
struct plan *plan_decode(const void *bytes, size_t length);

#endif
