/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test-image: one good description, and every way in which one may differ from it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "proto/image.h"

#define H "abababababababababababababababababababababababababababababababab"
static const char good[] =
	"{\"format\":1,\"recipe\":\"0011223344\",\"kernel_release\":\"6.12.1+deb13-cloud-amd64\",\"cmdline\":\"quiet a=b\","
	"\"verity\":{\"data_blocks\":6,\"hash_start_block\":6,\"salt\":\"00ff\",\"root_hash\":\"" H "\"},"
	"\"files\":{\"vmlinux\":{\"size\":10,\"sha256\":\"" H "\"},\"initrd.cpio\":{\"size\":11,\"sha256\":\"" H "\"},"
	"\"root.img\":{\"size\":32768,\"sha256\":\"" H "\"}},\"engine\":\"26.1.5\",\"modules\":97}";

static struct image image;

static void decodes(void **state)
{
	struct fault fault = FAULT_INIT;
	char text[256];

	assert_int_equal(image_decode(&image, good, sizeof(good) - 1, &fault), 0);
	assert_int_equal(image.files[IMAGE_ROOT].size, 32768);
	assert_int_equal(image.files[IMAGE_INITRD].sha256[31], 0xab);
	assert_int_equal(image.modules, 97);
	assert_string_equal(image.cmdline, "quiet a=b");
	assert_true(image_verity_parameter(&image, text, sizeof(text)) > 0);
	assert_string_equal(text, "caisson.verity=6:6:00ff:" H);
	image.salt[0] = '\0';
	assert_true(image_verity_parameter(&image, text, sizeof(text)) > 0);
	assert_string_equal(text, "caisson.verity=6:6:-:" H);
	assert_int_equal(image_verity_parameter(&image, text, 10), -EMSGSIZE);
}

/* Each row replaces one part of the good text. */
static void differences(void **state)
{
	static const char *const rows[][2] = {
		{"\"format\":1", "\"format\":2"},
		{"\"format\":1", "\"format\":1,\"extra\":0"},
		{"\"recipe\":\"0011223344\",", ""},
		{"0011223344", "00112233GG"},
		{"6.12.1+deb13", "6.12.1 init=/bin/sh"},
		{"quiet a=b", "quiet caisson.verity=1:1:-:00"},
		{"quiet a=b", "quiet\\nx"},
		{"quiet a=b", "quiet \\\"x"},
		{"quiet a=b", ""},
		{"\"data_blocks\":6", "\"data_blocks\":7"},
		{"\"data_blocks\":6", "\"data_blocks\":0"},
		{"\"data_blocks\":6", "\"data_blocks\":-1"},
		{"\"hash_start_block\":6", "\"hash_start_block\":8"},
		{"\"hash_start_block\":6", "\"hash_start_block\":\"6\""},
		{"00ff", "00f"},
		{"\"root_hash\":\"" H, "\"root_hash\":\"ab"},
		{"\"size\":10", "\"size\":0"},
		{"\"size\":10", "\"size\":99999999999999"},
		{"\"vmlinux\"", "\"../vmlinux\""},
		{"\"files\":{", "\"files\":{\"other\":{\"size\":1,\"sha256\":\"" H "\"},"},
		{"\"modules\":97", "\"modules\":97000"},
		{"\"modules\":97}", "\"modules\":97"},
	};
	char text[4096];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *at = strstr(good, rows[i][0]);
		struct fault fault = FAULT_INIT;

		assert_non_null(at);
		snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - good), good, rows[i][1], at + strlen(rows[i][0]));
		assert_int_equal(image_decode(&image, text, strlen(text), &fault), -EBADMSG);
		assert_true(strlen(fault.text) > 10);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(decodes), cmocka_unit_test(differences)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
