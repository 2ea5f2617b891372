/* SPDX-License-Identifier: Apache-2.0 */
/* test: what every cmocka test file needs first, in the order cmocka wants it. Only tests include it. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
