package schemas

// MaxDeviceEvents is how many events of one device one request may bring. The
// filter remembers twice as many ids, so that a request which is sent again whole
// changes nothing as long as no more events than that came between.
const MaxDeviceEvents = 1000
