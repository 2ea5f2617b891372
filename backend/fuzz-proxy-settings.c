/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz-proxy-settings: foreign texts that become proxy settings: URL, exclusions, GNOME's and KDE's. The first byte picks one.
 *
 * What is accepted the codec must accept too. Never part of a product.
 */
#include <stdlib.h>
#include <string.h>

#include "backend/proxy-desktop.h"
#include "backend/proxy-settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct proxyctl_message m;
	uint8_t frame[PROXYCTL_FRAME_MAX];
	char shown[256];
	char *text;

	if (size < 1)
		return 0;
	text = malloc(size);
	if (!text)
		return 0;
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	memset(&m, 0, sizeof(m));
	m.type = PROXYCTL_SETTINGS;
	switch (data[0]) {
	case '0':
		(void)proxy_url_parse(&m.settings.http, text, "manual", NULL);
		proxy_settings_redact(text, shown, sizeof(shown));
		break;
	case '1':
		if (proxy_exclude_add(&m.settings, text, NULL) < 0)
			memset(&m.settings, 0, sizeof(m.settings));
		break;
	case '2':
		proxy_desktop_gnome(&m.settings, text, NULL);
		break;
	default:
		proxy_desktop_kde(&m.settings, text, NULL);
	}
	proxy_settings_describe(&m.settings, shown, sizeof(shown));
	if (proxyctl_encode(&m, frame) < 0)
		abort();
	free(text);
	return 0;
}
