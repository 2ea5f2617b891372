/* SPDX-License-Identifier: Apache-2.0 */
/* test-port-learn: targets that matter and that do not; bodies as the engine reads them; the names table and its file. */
#include "base/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "backend/port-names.h"
#include "base/cleanup.h"
#include "base/fd.h"

static char seen[1024];

static void note(void *data, const struct port_name *name)
{
	size_t n = strlen(seen);

	snprintf(seen + n, sizeof(seen) - n, "%s%u-%u%s%s ", name->udp ? "u" : "t", name->first, name->last,
		 name->wide & PORT_WIDE_V4 ? "w4" : "", name->wide & PORT_WIDE_V6 ? "w6" : "");
}

static void targets(void **state)
{
	static const struct { const char *method, *target; enum port_learn_kind kind; } cases[] = {
		{"POST", "/containers/create", PORT_LEARN_CONTAINER},
		{"POST", "/v1.45/containers/create?name=x", PORT_LEARN_CONTAINER},
		{"POST", "/v1.45/services/create", PORT_LEARN_SERVICE},
		{"POST", "/services/abc/update?version=3", PORT_LEARN_SERVICE},
		{"GET", "/containers/create", PORT_LEARN_NOTHING},
		{"POST", "/containers/create/", PORT_LEARN_NOTHING},
		{"POST", "/containers/create/x", PORT_LEARN_NOTHING},
		{"POST", "/containers/x/update", PORT_LEARN_NOTHING},
		{"POST", "/services/create/update/x", PORT_LEARN_NOTHING},
		{"POST", "/services//update", PORT_LEARN_NOTHING},
		{"POST", "//containers/create", PORT_LEARN_NOTHING},
		{"POST", "/vx/containers/create", PORT_LEARN_NOTHING},
		{"POST", "/v1.45/v1.45/containers/create", PORT_LEARN_NOTHING},
		{"POST", "containers/create", PORT_LEARN_NOTHING},
		{"POST", "*", PORT_LEARN_NOTHING},
		{"POST", "/", PORT_LEARN_NOTHING},
		{"POST", "/?/containers/create", PORT_LEARN_NOTHING},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (port_learn_kind(cases[i].method, strlen(cases[i].method), cases[i].target, strlen(cases[i].target)) !=
		    cases[i].kind)
			fail_msg("%s %s", cases[i].method, cases[i].target);
}

static void bodies(void **state)
{
#define C PORT_LEARN_CONTAINER
#define S PORT_LEARN_SERVICE
	static const struct { enum port_learn_kind kind; const char *body, *names; } cases[] = {
		{C, "{\"HostConfig\":{\"PortBindings\":{\"80/tcp\":[{\"HostIp\":\"\",\"HostPort\":\"8080\"}]}}}", "t8080-8080 "},
		{C, "{\"hostconfig\":{\"PORTBINDINGS\":{\"53/udp\":[{\"hostPort\":\"53\"}]}}}", "u53-53 "},
		{C, "{\"HostConfig\":{\"PortBindings\":{\"80\":[{\"HostPort\":\"8000-8010\",\"HostIp\":\"0.0.0.0\"}]}}}", "t8000-8010w4 "},
		{C, "{\"HostConfig\":{\"PortBindings\":{\"80/TCP\":[{\"HostPort\":\"80\",\"HostIp\":\"::\"},{\"HostPort\":\"81\"}]}}}",
		 "t80-80w6 t81-81 "},
		/* the last of several counts, in any case */
		{C, "{\"HostConfig\":{\"PortBindings\":{\"1/tcp\":[{\"HostPort\":\"1\"}]}},\"hostconfig\":{\"PortBindings\":{\"2/tcp\":"
		    "[{\"HostPort\":\"2\",\"hostport\":\"3\"}]}}}", "t3-3 "},
		{C, "{\"HostConfig\":{\"PortBindings\":{\"80/tcp\":[{\"HostPort\":\"\"},{\"HostPort\":\"0\"},{}]}}}", ""},
		{C, "{\"HostConfig\":{\"PortBindings\":{\"80/tcp\":[{\"HostPort\":\"65536\"},{\"HostPort\":\"90-80\"},"
		    "{\"HostPort\":\"80-\"},{\"HostPort\":\"-80\"},{\"HostPort\":\" 80\"},{\"HostPort\":80},{\"HostPort\":null},"
		    "{\"HostPort\":\"8\\u00000\"},{\"HostPort\":\"+80\"},{\"HostPort\":\"99999999999999999999\"}]}}}", ""},
		{C, "{\"HostConfig\":{\"PortBindings\":{\"80/sctp\":[{\"HostPort\":\"80\"}],\"80/tcp/x\":[{\"HostPort\":\"80\"}]}}}", ""},
		{C, "{\"HostConfig\":{\"PortBindings\":[{\"HostPort\":\"80\"}]}}", ""},
		{C, "{\"HostConfig\":{\"PortBindings\":{\"80/tcp\":{\"HostPort\":\"80\"}}}}", ""},
		{C, "{\"PortBindings\":{\"80/tcp\":[{\"HostPort\":\"80\"}]}}", ""},
		{C, "{\"EndpointSpec\":{\"Ports\":[{\"PublishedPort\":80}]}}", ""},
		{S, "{\"EndpointSpec\":{\"Ports\":[{\"PublishedPort\":8080,\"TargetPort\":80,\"Protocol\":\"tcp\"},"
		    "{\"PublishedPort\":53,\"Protocol\":\"udp\"},{\"PublishedPort\":81},{\"TargetPort\":80}]}}",
		 "t8080-8080 u53-53 t81-81 t30000-32767 "},
		{S, "{\"EndpointSpec\":{\"Ports\":[{\"PublishedPort\":0,\"TargetPort\":53,\"Protocol\":\"udp\"},"
		    "{\"PublishedPort\":\"x\",\"TargetPort\":53},[],7]}}", "u30000-32767 "},
		{S, "{\"EndpointSpec\":{\"Ports\":[{\"PublishedPort\":0},{\"PublishedPort\":65536},{\"PublishedPort\":-1},"
		    "{\"PublishedPort\":\"80\"},{\"PublishedPort\":80.5},{\"PublishedPort\":80,\"Protocol\":\"sctp\"}]}}", ""},
		{S, "{\"EndpointSpec\":null}", ""},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		seen[0] = '\0';
		if (port_learn(cases[i].kind, cases[i].body, strlen(cases[i].body), note, NULL) < 0 || strcmp(seen, cases[i].names))
			fail_msg("case %zu: %s", i, seen);
	}
	seen[0] = '\0';
	assert_int_equal(port_learn(C, "[]", 2, note, NULL), -EBADMSG);
	assert_int_equal(port_learn(C, "", 0, note, NULL), -EBADMSG);
	assert_int_equal(port_learn(C, "{\"a\":1} {}", 10, note, NULL), -EBADMSG);
	assert_string_equal(seen, "");
}

static void names(void **state)
{
	char dir[] = "/tmp/test-names-XXXXXX";
	_cleanup_close_ int fd = -EBADF;
	struct port_names *n = NULL;
	uint8_t wide;

	assert_non_null(mkdtemp(dir));
	fd = fd_open_dir_path(dir, false);
	assert_int_equal(port_names_new(NULL, fd, "ports.json", &n), 0);
	assert_false(port_names_allowed(n, false, 8080, &wide));
	assert_false(port_names_allowed(n, false, 32767, &wide));
	assert_false(port_names_allowed(n, true, 61000, &wide));
	assert_true(port_names_allowed(n, false, 32768, &wide));
	assert_true(port_names_allowed(n, true, 60999, &wide));
	port_names_add(n, &(struct port_name){false, PORT_WIDE_V4, 8080, 8080});
	port_names_add(n, &(struct port_name){true, 0, 5000, 5010});
	assert_true(port_names_allowed(n, false, 8080, &wide));
	assert_int_equal(wide, PORT_WIDE_V4);
	assert_false(port_names_allowed(n, true, 8080, &wide));
	assert_true(port_names_allowed(n, true, 5007, &wide));
	/* the latest naming decides about "all addresses" */
	port_names_add(n, &(struct port_name){false, 0, 8080, 8080});
	assert_true(port_names_allowed(n, false, 8080, &wide));
	assert_int_equal(wide, 0);
	assert_int_equal(port_names_count(n), 2);
	port_names_free(n);
	assert_int_equal(port_names_new(NULL, fd, "ports.json", &n), 0);
	assert_int_equal(port_names_count(n), 2);
	assert_true(port_names_allowed(n, false, 8080, &wide));
	/* full: the one named longest ago goes */
	for (unsigned int i = 0; i < PORT_NAMES_MAX; i++)
		port_names_add(n, &(struct port_name){false, 0, (uint16_t)(10000 + i), (uint16_t)(10000 + i)});
	assert_int_equal(port_names_count(n), PORT_NAMES_MAX);
	assert_false(port_names_allowed(n, false, 8080, &wide));
	assert_true(port_names_allowed(n, false, 10000, &wide));
	port_names_free(n);
	assert_int_equal(port_names_new(NULL, fd, "ports.json", &n), 0);
	assert_int_equal(port_names_count(n), PORT_NAMES_MAX);
	port_names_free(n);
	/* a broken file is an empty table */
	assert_int_equal(fd_replace_file(fd, "ports.json", "{\"version\":1,\"ports\":[{\"first\":1}]}", 34, 0600), 0);
	assert_int_equal(port_names_new(NULL, fd, "ports.json", &n), 0);
	assert_int_equal(port_names_count(n), 0);
	port_names_free(n);
	assert_int_equal(unlinkat(fd, "ports.json", 0), 0);
	assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(targets), cmocka_unit_test(bodies), cmocka_unit_test(names)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
