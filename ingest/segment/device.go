package segment

import (
	"strings"

	"fernweh/schemas"
)

// deviceClass is what a user agent says the visitor sits at. Libraries of
// servers (curl, a tracker in a back end) say nothing about the visitor.
func deviceClass(agent string) schemas.DeviceClass {
	agent = strings.ToLower(agent)
	has := func(marks ...string) bool {
		for _, m := range marks {
			if strings.Contains(agent, m) {
				return true
			}
		}
		return false
	}
	switch {
	case has("bot", "crawl", "spider", "slurp", "headless", "lighthouse", "facebookexternalhit", "monitor") &&
		!has("cubot"): // a maker of phones
		return schemas.DeviceClass_DEVICE_CLASS_BOT
	case !strings.HasPrefix(agent, "mozilla/") && !strings.HasPrefix(agent, "opera/"):
		return schemas.DeviceClass_DEVICE_CLASS_UNSPECIFIED
	case has("ipad", "tablet", "kindle", "silk/", "playbook") || has("android") && !has("mobi"):
		return schemas.DeviceClass_DEVICE_CLASS_TABLET
	case has("mobi", "iphone", "ipod"):
		return schemas.DeviceClass_DEVICE_CLASS_MOBILE
	case has("windows nt", "macintosh", "x11", "cros "):
		return schemas.DeviceClass_DEVICE_CLASS_DESKTOP
	}
	return schemas.DeviceClass_DEVICE_CLASS_UNSPECIFIED
}
