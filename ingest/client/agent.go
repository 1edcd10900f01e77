package client

import "fernweh/schemas"

// userAgent is what a device of a class calls itself; empty: not said.
func userAgent(c schemas.DeviceClass) string {
	switch c {
	case schemas.DeviceClass_DEVICE_CLASS_DESKTOP:
		return "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
	case schemas.DeviceClass_DEVICE_CLASS_MOBILE:
		return "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) " +
			"Version/18.5 Mobile/15E148 Safari/604.1"
	case schemas.DeviceClass_DEVICE_CLASS_TABLET:
		return "Mozilla/5.0 (iPad; CPU OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) " +
			"Version/18.5 Mobile/15E148 Safari/604.1"
	case schemas.DeviceClass_DEVICE_CLASS_BOT:
		return "Mozilla/5.0 (compatible; ExampleBot/2.1; +https://bot.example/about)"
	}
	return ""
}
