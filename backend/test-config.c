/* SPDX-License-Identifier: Apache-2.0 */
/* test-config: every way a settings file can be bad, and the file that is good; ranges; only non-defaults stored. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "backend/config-text.h"
#include "backend/config.h"
#include "base/fd.h"

static const struct config_host host = {.cpus = 4, .memory_mib = 8192};
static struct config config;
static struct fault fault;

static int decode(const char *text)
{
	fault = (struct fault)FAULT_INIT;
	return config_decode(&config, &host, "F", text, strlen(text), &fault);
}

static void good_file(void **state)
{
	assert_int_equal(decode("{}"), 0);
	assert_int_equal(config.value[CONFIG_CPUS], 4);
	assert_int_equal(config.value[CONFIG_MEMORY_MIB], 4096);
	assert_int_equal(config.value[CONFIG_DISK_MIB], 65536);
	assert_int_equal(decode("{\"SettingsVersion\":1,\"Cpus\":3,\"MemoryMiB\":1024,\"DiskSizeMiB\":8192,"
				"\"Accelerator\":\"tcg\"}"), 0);
	assert_int_equal(config.value[CONFIG_CPUS], 3);
	assert_int_equal(config.value[CONFIG_ACCELERATOR], 2);
}

static void bad_files(void **state)
{
	static const struct { const char *text, *line, *word; } cases[] = {
		{"", "F:1:", "empty"},
		{"{\n\"Cpus\": 2,\n", "F:", ""},
		{"{\n\"Cpus\": 2\n", "F:", ""},
		{"[1]", "F:1:", "one JSON object"},
		{"{\n\"Cpus\": 2,\n\"Cpus\": 3}", "F:3:", "duplicate"},
		{"{\n\"SettingsVersion\": 2,\n\"Later\": 1}", "F:2:", "newer version"},
		{"{\"SettingsVersion\": \"1\"}", "F:1:", "whole number"},
		{"{\"SettingsVersion\": 0}", "F:1:", "whole number"},
		{"{\n\n\"MemoryMib\": 2048}", "F:3:", "did you mean \"MemoryMiB\""},
		{"{\n\"memory\": 2048}", "F:2:", "called \"MemoryMiB\""},
		{"{\"Zzzzzz\": {\"Cpus\":\n1}}", "F:1:", "There is no setting"},
		{"{\"Cpus\": 5}", "F:1:", "from 1 to 4"},
		{"{\"Cpus\": 0}", "F:1:", "from 1 to 4"},
		{"{\"Cpus\": -1}", "F:1:", "from 1 to 4"},
		{"{\"Cpus\": 2.0}", "F:1:", "whole number"},
		{"{\"Cpus\": \"2\"}", "F:1:", "whole number"},
		{"{\"MemoryMiB\": 1023}", "F:1:", "from 1024 to 7168"},
		{"{\"MemoryMiB\": 99999999999999999999}", "F:1:", "big"},
		{"{\"DiskSizeMiB\": 8191}", "F:1:", "from 8192 to"},
		{"{\"Accelerator\": \"hvf\"}", "F:1:", "auto, kvm, tcg"},
		{"{\"Accelerator\": \"tcg,id=x\"}", "F:1:", "auto, kvm, tcg"},
		{"{\"Accelerator\": 1}", "F:1:", "auto, kvm, tcg"},
		{"{\"Cpus\": 2} x", "F:1:", "end of file"},
		{"\xff", "F:1:", ""},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		config.value[CONFIG_CPUS] = 77;
		if (decode(cases[i].text) != -EBADMSG || strncmp(fault.text, cases[i].line, strlen(cases[i].line)) ||
		    !strstr(fault.text, cases[i].word))
			fail_msg("case %zu: %s", i, fault.text);
		assert_int_equal(config.value[CONFIG_CPUS], 77);
	}
}

static void disk_never_shrinks(void **state)
{
	struct config_host full = host;
	json_t *small = json_integer(16384), *big = json_integer(40000);

	full.disk_mib = 32768;
	config_set_defaults(&config, &full);
	assert_int_equal(config_change(&config, &full, CONFIG_DISK_MIB, small, &fault), CONFIG_E_VALUE);
	assert_non_null(strstr(fault.text, "cannot shrink"));
	assert_int_equal(config_change(&config, &full, CONFIG_DISK_MIB, big, &fault), 0);
	json_decref(small);
	json_decref(big);
}

static void small_host(void **state)
{
	const struct config_host tiny = {.cpus = 1, .memory_mib = 700};

	config_set_defaults(&config, &tiny);
	assert_int_equal(config.value[CONFIG_MEMORY_MIB], 1024);
	assert_int_equal(config_range(CONFIG_MEMORY_MIB, &tiny).max, 1024);
}

static void store_and_load(void **state)
{
	char dir[] = "/tmp/test-config-XXXXXX";
	_cleanup_close_ int fd = -EBADF;
	_cleanup_free_ char *text = NULL;
	struct config again;
	struct stat st;
	size_t len;

	assert_non_null(mkdtemp(dir));
	fd = fd_open_dir_path(dir, false);
	assert_true(fd >= 0);
	assert_int_equal(config_load(&config, &host, fd, "s.json", "s.json", &fault), 0);
	config.value[CONFIG_CPUS] = 2;
	assert_int_equal(config_store(&config, &host, fd, "s.json"), 0);
	assert_int_equal(fd_read_file(fd, "s.json", 4096, &text, &len), 0);
	assert_non_null(strstr(text, "\"Cpus\": 2"));
	assert_null(strstr(text, "MemoryMiB"));
	assert_int_equal(fstatat(fd, "s.json", &st, 0), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(config_load(&again, &host, fd, "s.json", "s.json", &fault), 0);
	for (unsigned int i = 0; i < CONFIG_KEY_MAX; i++)
		assert_true(config_equal(&again, &config, (enum config_key)i));
	assert_int_equal(unlinkat(fd, "s.json", 0), 0);
	/* neither a link nor a directory is a settings file */
	assert_int_equal(symlinkat("/etc/hostname", fd, "s.json"), 0);
	assert_true(config_load(&again, &host, fd, "s.json", "s.json", &fault) < 0);
	assert_int_equal(unlinkat(fd, "s.json", 0), 0);
	assert_int_equal(rmdir(dir), 0);
}

static void bad_texts(void **state)
{
	static const struct { const char *text, *word; } cases[] = {
		{"{\"NetworkSubnet\": \"8.8.8.0/24\"}", "192.168.0.0/16"},
		{"{\"NetworkSubnet\": [\"10.0.0.0/24\"]}", "must be a text"},
		{"{\"NetworkSubnet\": \"10.0.0.0/24\\u0000x\"}", ""},
		{"{\"NetworkMtu\": 1279}", "from 1280 to 65520"},
		{"{\"HostAccess\": \"0-99999\"}", "1 to 65535"},
		{"{\"HostAccess\": \"80\\n90\"}", "printable"},
		{"{\"NetworkRules\": \"deny any 10.0.0.0/8\"}", "list of texts"},
		{"{\"NetworkRules\": [1]}", "list of texts"},
		{"{\"NetworkRules\": [\"allow 10.0.0.0/8\", \"forbid 1.2.3.4\"]}", "forbid 1.2.3.4"},
		{"{\"DnsServers\": [\"dns.example\"]}", "dns.example"},
		{"{\"DnsServers\": [\"1.1.1.1\",\"1.1.1.1\",\"1.1.1.1\",\"1.1.1.1\",\"1.1.1.1\",\"1.1.1.1\",\"1.1.1.1\",\"1.1.1.1\","
		 "\"1.1.1.1\"]}", "at most 8"},
		{"{\"DnsDomains\": [\"corp.example\"]}", "corp.example"},
		{"{\"Egress\": \"maybe\"}", "allow, deny"},
		{"{\"PortBindingBehavior\": \"local\"}", "all, local-default, local-only"},
		{"{\"ProxyHttp\": \"ftp://proxy\"}", "ProxyHttp"},
		{"{\"ProxyExclude\": \"10.0.0.0/99\"}", "ProxyExclude"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (decode(cases[i].text) != -EBADMSG || strncmp(fault.text, "F:1:", 4) || !strstr(fault.text, cases[i].word))
			fail_msg("case %zu: %s", i, fault.text);
	/* a secret that does not parse is not repeated */
	assert_int_equal(decode("{\"ProxyHttp\": \"http://user:hunter2@pro xy:99999\"}"), -EBADMSG);
	assert_null(strstr(fault.text, "hunter2"));
	assert_int_equal(decode("{\"ProxyHttp\" \"http://user:hunter2@proxy\"}"), -EBADMSG);
	assert_null(strstr(fault.text, "hunter2"));
}

static void good_texts(void **state)
{
	const char *at, *word[] = {"deny tcp 10.0.0.0/8 22 name=no-ssh", "allow any 10.0.0.0/8"};
	char item[256];

	assert_int_equal(decode("{}"), 0);
	assert_string_equal(config_text(&config, CONFIG_NETWORK_SUBNET), "192.168.65.0/24");
	assert_string_equal(config_text(&config, CONFIG_HOST_ACCESS), "all");
	assert_int_equal(config.value[CONFIG_NETWORK_MTU], 1500);
	assert_int_equal(config.value[CONFIG_IPV6], CONFIG_ON);
	assert_int_equal(decode("{\"NetworkRules\": [\"deny tcp 10.0.0.0/8 22 name=no-ssh\", \"allow any 10.0.0.0/8\"],"
				"\"Egress\": \"deny\", \"HostAccess\": \"5432\", \"Ipv6\": \"off\"}"), 0);
	at = config_text(&config, CONFIG_NETWORK_RULES);
	for (int i = 0; i < 2; i++) {
		assert_true(config_next(&at, item, sizeof(item)));
		assert_string_equal(item, word[i]);
	}
	assert_false(config_next(&at, item, sizeof(item)));
	assert_int_equal(config.value[CONFIG_EGRESS], CONFIG_EGRESS_DENY);
	assert_int_equal(decode("{\"NetworkRules\": []}"), 0);
	assert_string_equal(config_text(&config, CONFIG_NETWORK_RULES), "");
}

static void change_to(enum config_key key, const char *text)
{
	json_t *value = json_string(text);

	fault = (struct fault)FAULT_INIT;
	if (config_change(&config, &host, key, value, &fault))
		fail_msg("%s", fault.text);
	json_decref(value);
}

static const char *shown(enum config_key key, enum config_sight sight)
{
	static char text[256];
	json_t *value = config_value(&config, key, sight);

	snprintf(text, sizeof(text), "%s", json_string_value(value));
	json_decref(value);
	return text;
}

static void secrets(void **state)
{
	config_set_defaults(&config, &host);
	change_to(CONFIG_PROXY_HTTP, "http://bob:hunter2@proxy.corp:3128");
	assert_string_equal(shown(CONFIG_PROXY_HTTP, CONFIG_SHOW), "http://bob:***@proxy.corp:3128");
	assert_string_equal(shown(CONFIG_PROXY_HTTP, CONFIG_STORE), "http://bob:hunter2@proxy.corp:3128");
	/* what was shown and comes back changes nothing */
	change_to(CONFIG_PROXY_HTTP, "http://bob:***@proxy.corp:3128");
	assert_string_equal(shown(CONFIG_PROXY_HTTP, CONFIG_STORE), "http://bob:hunter2@proxy.corp:3128");
	/* a user alone may be a token */
	change_to(CONFIG_PROXY_HTTP, "http://TOKEN@proxy.corp:3128");
	assert_string_equal(shown(CONFIG_PROXY_HTTP, CONFIG_SHOW), "http://***@proxy.corp:3128");
	change_to(CONFIG_PROXY_HTTP, "http://***@proxy.corp:3128");
	assert_string_equal(shown(CONFIG_PROXY_HTTP, CONFIG_STORE), "http://TOKEN@proxy.corp:3128");
	change_to(CONFIG_PROXY_HTTP, "http://proxy.corp:3128");
	assert_string_equal(shown(CONFIG_PROXY_HTTP, CONFIG_SHOW), "http://proxy.corp:3128");
	change_to(CONFIG_PROXY_HTTP, "");
	assert_string_equal(shown(CONFIG_PROXY_HTTP, CONFIG_SHOW), "");
}

static void masks(void **state)
{
	static const char *const rows[][2] = {
		{"http://TOKEN@h:1", "http://***@h:1"},	      {"TOKEN@h:1", "***@h:1"},
		{"http://TO@KEN@h", "http://***@h"},	      {"http://u:SE/CRET@h", "http://u:***@h"},
		{"u:SE://CRET@h", "u:***@h"},		      {"http://:SECRET@h", "http://:***@h"},
		{"http://h:1", "http://h:1"},		      {"h:1", "h:1"},
		{"", ""},
	};
	char text[64];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_string_equal(config_text_mask(text, sizeof(text), rows[i][0]), rows[i][1]);
}

static void find_names(void **state)
{
	enum config_key key;

	assert_int_equal(config_find("memory", &key, &fault), 0);
	assert_int_equal(key, CONFIG_MEMORY_MIB);
	assert_int_equal(config_find("MemoryMiB", &key, &fault), 0);
	assert_int_equal(config_find("memmory", &key, &fault), CONFIG_E_UNKNOWN);
	assert_non_null(strstr(fault.text, "\"memory\""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_file), cmocka_unit_test(bad_files), cmocka_unit_test(disk_never_shrinks),
		cmocka_unit_test(small_host), cmocka_unit_test(store_and_load), cmocka_unit_test(bad_texts),
		cmocka_unit_test(good_texts), cmocka_unit_test(secrets), cmocka_unit_test(masks), cmocka_unit_test(find_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
