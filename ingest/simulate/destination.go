package simulate

import "fernweh/schemas"

// A destination is a place that offers lie in.
type destination struct {
	name                string
	latitude, longitude float64         // degrees
	styles              []schemas.Style // what one can travel there for
}

// destinations is the portal's assortment.
func destinations() []destination {
	of := func(s ...schemas.Style) []schemas.Style { return s }
	return []destination{
		{"Lake Garda", 45.6047, 10.6351, of(quiet, active, nature)},
		{"South Tyrol", 46.4983, 11.3548, of(quiet, wellness, active, nature)},
		{"Madeira", 32.7607, -16.9595, of(quiet, nature, active)},
		{"Majorca", 39.6953, 3.0176, of(beach, family, party, quiet)},
		{"Crete", 35.2401, 24.8093, of(beach, family, culture)},
		{"Santorini", 36.3932, 25.4615, of(quiet, beach)},
		{"Tuscany", 43.7711, 11.2486, of(quiet, culture, nature)},
		{"Amrum", 54.6500, 8.3500, of(quiet, nature, beach)},
		{"Sylt", 54.9079, 8.3274, of(quiet, beach, wellness)},
		{"Rügen", 54.4091, 13.3922, of(beach, family, nature)},
		{"Provence", 43.9352, 6.0679, of(quiet, culture, nature)},
		{"Corsica", 42.0396, 9.0129, of(beach, nature, active)},
		{"Barcelona", 41.3874, 2.1686, of(city, culture, party)},
		{"Lisbon", 38.7223, -9.1393, of(city, culture)},
		{"Rome", 41.9028, 12.4964, of(city, culture)},
		{"Vienna", 48.2082, 16.3738, of(city, culture)},
		{"Prague", 50.0755, 14.4378, of(city, culture, party)},
		{"Amsterdam", 52.3676, 4.9041, of(city, culture, party)},
		{"Paris", 48.8566, 2.3522, of(city, culture)},
		{"London", 51.5072, -0.1276, of(city, culture)},
		{"Copenhagen", 55.6761, 12.5683, of(city, culture)},
		{"Berlin", 52.5200, 13.4050, of(city, culture, party)},
		{"Hamburg", 53.5511, 9.9937, of(city, culture)},
		{"Munich", 48.1351, 11.5820, of(city, culture)},
		{"Frankfurt", 50.1109, 8.6821, of(city)},
		{"Zurich", 47.3769, 8.5417, of(city)},
		{"Iceland", 64.1466, -21.9426, of(nature, active)},
		{"Lofoten", 68.2096, 14.0000, of(nature, active, quiet)},
		{"Dolomites", 46.4102, 11.8440, of(nature, active, family)},
		{"Zermatt", 46.0207, 7.7491, of(active, nature, family)},
		{"Kitzbühel", 47.4464, 12.3920, of(active, family, wellness)},
		{"Black Forest", 48.0000, 8.1000, of(wellness, nature, quiet)},
		{"Bad Füssing", 48.3560, 13.3110, of(wellness, quiet)},
		{"Merano", 46.6713, 11.1594, of(wellness, quiet, nature)},
		{"Abano Terme", 45.3600, 11.7890, of(wellness, culture)},
		{"Ibiza", 38.9067, 1.4206, of(party, beach)},
		{"Sunny Beach", 42.6949, 27.7105, of(party, beach)},
		{"Lloret de Mar", 41.6994, 2.8454, of(party, beach)},
		{"Antalya", 36.8969, 30.7133, of(beach, family)},
		{"Hurghada", 27.2579, 33.8116, of(beach, family)},
		{"Djerba", 33.8076, 10.8451, of(beach, family)},
		{"Fuerteventura", 28.3587, -14.0537, of(beach, family, active)},
		{"Gran Canaria", 27.9202, -15.5474, of(beach, family, party)},
		{"Rhodes", 36.4341, 28.2176, of(beach, family, culture)},
		{"Nile", 25.6872, 32.6396, of(culture)},
		{"Danube", 48.5665, 13.4312, of(culture, quiet)},
		{"Norwegian Fjords", 60.3913, 5.3221, of(culture, nature)},
		{"Maldives", 4.1755, 73.5093, of(beach, quiet)},
	}
}

// A mould is a kind of hotel that many are cast from. Hotels of one mould at one
// destination are each other's substitutes.
type mould struct {
	needs        schemas.Style // what the destination must be good for
	styles       []schemas.Style
	stars, price between // tenths; whole euros a room and night
}

// moulds are all kinds of hotel.
func moulds() []mould {
	of := func(s ...schemas.Style) []schemas.Style { return s }
	return []mould{
		{quiet, of(quiet, upscale), between{45, 50}, between{240, 520}},
		{wellness, of(upscale, wellness), between{40, 50}, between{170, 380}},
		{beach, of(family, beach), between{35, 45}, between{110, 240}},
		{family, of(family, active), between{30, 45}, between{100, 230}},
		{beach, of(beach, upscale), between{45, 50}, between{220, 450}},
		{beach, of(beach, budget), between{25, 35}, between{45, 85}},
		{city, of(city, culture), between{30, 40}, between{90, 170}},
		{city, of(upscale, city), between{40, 50}, between{170, 390}},
		{city, of(city, budget), between{10, 25}, between{25, 60}},
		{party, of(budget, party), between{15, 30}, between{30, 75}},
		{nature, of(active, nature), between{25, 40}, between{70, 150}},
		{quiet, of(quiet, nature), between{30, 40}, between{90, 180}},
		{culture, of(quiet, culture), between{35, 45}, between{120, 230}},
		{active, of(family, active, nature), between{30, 45}, between{120, 260}},
	}
}
