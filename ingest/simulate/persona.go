package simulate

import "fernweh/schemas"

// The styles, short enough for a table.
const (
	quiet    = schemas.Style_STYLE_QUIET
	upscale  = schemas.Style_STYLE_UPSCALE
	family   = schemas.Style_STYLE_FAMILY
	beach    = schemas.Style_STYLE_BEACH
	wellness = schemas.Style_STYLE_WELLNESS
	active   = schemas.Style_STYLE_ACTIVE
	city     = schemas.Style_STYLE_CITY
	budget   = schemas.Style_STYLE_BUDGET
	nature   = schemas.Style_STYLE_NATURE
	culture  = schemas.Style_STYLE_CULTURE
	party    = schemas.Style_STYLE_PARTY
)

// A persona is a kind of traveller: the hidden truth behind what a visitor does.
type persona struct {
	name  string
	share float64 // of the visitors, before the season has its say
	group group
	taste taste
	trip  trip
	habit habit
	mind  mind
}

// A group is who travels.
type group struct {
	label            string // solo, couple, family, group
	adults, children between
}

// A taste is what a traveller looks at.
type taste struct {
	styles  []schemas.Style // main style first, each next weighs less
	stars   between         // tenths
	hotels  float64         // share of hotels; of the rest most are packages
	thrift  float64         // how strongly a higher price repels
	filters []string        // that the search form gets
}

// A trip is when and how long.
type trip struct {
	months [12]float64 // relative wish to depart in January, February, ...
	lead   between     // days from the first look to departure
	nights between
}

// A habit is how a traveller uses the portal.
type habit struct {
	visits  float64 // a week
	weeks   float64 // of research for a trip
	pages   float64 // a visit
	hour    float64 // of the day, the middle of the visits
	spread  float64 // hours, standard deviation around it
	weekend float64 // chance that a visit waits for the weekend; 0: never on one
	mobile  float64 // share of phones
}

// A mind is how research ends. All are chances.
type mind struct {
	books   float64 // the trip is booked
	carts   float64 // a visit without booking ends in an abandoned basket
	cancels float64 // a booking is cancelled
	returns float64 // another trip follows a booking
	letter  float64 // subscribes to the newsletter
}

// between bounds a whole number, both ends included.
type between [2]int

// robot is the name of the persona that is no traveller.
const robot = "bot"

// mueller is the persona of Herr Mueller, by its place in the table.
const mueller = 0

// personas is the table of all; docs/simulator.md explains it. Whoever judges a
// classifier by the simulator must not have chosen its thresholds by looking here.
func personas() []persona {
	return []persona{
		{"quiet-upscale-couple", .11, group{"couple", between{2, 2}, between{}},
			taste{[]schemas.Style{quiet, upscale, wellness}, between{45, 50}, .85, 0, []string{"quiet", "adults only"}},
			trip{[12]float64{.1, .1, .3, .6, 2, 4, 4, 3, 2.5, .8, .1, .2}, between{60, 240}, between{7, 14}},
			habit{3.2, 3.5, 8, 20.8, 1, .1, .15}, mind{.12, .05, .05, .5, .1}},
		{"beach-family", .16, group{"family", between{2, 2}, between{1, 3}},
			taste{[]schemas.Style{family, beach}, between{35, 45}, .35, .3, []string{"family", "beach", "all inclusive"}},
			trip{[12]float64{.1, .2, .5, 1, 1, 1.5, 5, 5, .8, 2, .1, .2}, between{70, 280}, between{7, 14}},
			habit{2.4, 2.5, 10, 20, 1.6, .35, .5}, mind{.24, .12, .08, .5, .2}},
		{"city-break-solo", .10, group{"solo", between{1, 1}, between{}},
			taste{[]schemas.Style{city, culture}, between{30, 40}, .7, .2, []string{"city centre"}},
			trip{[12]float64{.6, .8, 1.6, 2.2, 2.2, 1, .5, .5, 2, 2.2, 1.2, 1.2}, between{7, 60}, between{2, 4}},
			habit{2, 1.2, 6, 12.7, 2.5, .1, .7}, mind{.28, .1, .06, .6, .1}},
		{"budget-student", .09, group{"solo", between{1, 1}, between{}},
			taste{[]schemas.Style{budget, city, party}, between{10, 25}, .65, 2, []string{"price ascending"}},
			trip{[12]float64{.2, .6, 1.2, 1, .8, 1, 3, 4, 3, .5, .2, .5}, between{14, 70}, between{3, 10}},
			habit{2.6, 1.6, 8, 22.8, 1.4, .1, .85}, mind{.13, .12, .05, .3, .05}},
		{"wellness-weekender", .08, group{"couple", between{2, 2}, between{}},
			taste{[]schemas.Style{wellness, upscale, quiet}, between{40, 50}, .9, 0, []string{"spa", "half board"}},
			trip{[12]float64{2, 2, 1.6, .8, .5, .2, .1, .2, .8, 2, 3, 2}, between{5, 45}, between{2, 3}},
			habit{2, 1, 6, 18.5, 1.8, .2, .45}, mind{.3, .1, .07, .7, .25}},
		{"nature-couple", .10, group{"couple", between{2, 2}, between{}},
			taste{[]schemas.Style{nature, active, quiet}, between{25, 40}, .7, .3, []string{"hiking"}},
			trip{[12]float64{.3, .3, .5, 1, 2.5, 3.5, 2.5, 2.5, 3.5, 1, .2, .2}, between{30, 150}, between{6, 12}},
			habit{1.8, 2.2, 8, 8.2, 1.5, .4, .35}, mind{.22, .06, .06, .5, .1}},
		{"party-group", .06, group{"group", between{4, 9}, between{}},
			taste{[]schemas.Style{party, beach, budget}, between{20, 35}, .3, 1, []string{"nightlife"}},
			trip{[12]float64{.1, .1, .2, .5, 1.2, 3.5, 5, 4, 1, .1, .1, .1}, between{25, 110}, between{4, 7}},
			habit{3, 1.6, 7, 22, 1.6, .3, .8}, mind{.18, .2, .12, .2, .05}},
		{"last-minute-business", .08, group{"solo", between{1, 1}, between{}},
			taste{[]schemas.Style{city, upscale}, between{40, 45}, .8, 0, []string{"flexible rate"}},
			trip{[12]float64{1.2, 1.3, 1.3, 1.2, 1.2, 1.2, .5, .4, 1.3, 1.3, 1.3, .6}, between{0, 5}, between{1, 2}},
			habit{4, .15, 4, 10.5, 2, 0, .3}, mind{.6, .05, .15, .9, .02}},
		{"culture-seniors", .08, group{"couple", between{2, 2}, between{}},
			taste{[]schemas.Style{culture, quiet, upscale}, between{35, 45}, .25, 0, []string{"guided tour", "cruise"}},
			trip{[12]float64{.3, .6, 1.6, 3, 3, 1, .3, .3, 2.6, 3, 1, .4}, between{110, 300}, between{7, 12}},
			habit{1.6, 4, 9, 9.8, 1.2, .05, .1}, mind{.32, .03, .06, .6, .3}},
		{"deal-hunter", .05, group{"couple", between{2, 2}, between{}},
			taste{[]schemas.Style{budget, beach}, between{30, 40}, .35, 3.5, []string{"price ascending", "deals"}},
			trip{[12]float64{1, 1, 1, 1, 1.2, 1.2, 1.2, 1.2, 1.2, 1, 1, 1}, between{7, 90}, between{5, 10}},
			habit{4.5, 4.5, 13, 14, 4.5, .1, .6}, mind{.07, .3, .04, .4, .7}},
		{"one-time-buyer", .04, group{"couple", between{2, 2}, between{}},
			taste{[]schemas.Style{beach, upscale}, between{35, 45}, .2, .2, nil},
			trip{[12]float64{.5, .5, .8, 1, 1.2, 2, 3, 3, 2, 1, .5, .5}, between{10, 80}, between{7, 10}},
			habit{7, .08, 5, 19, 2.5, .2, .6}, mind{.85, .05, .03, 0, 0}},
		{"snow-family", .05, group{"family", between{2, 3}, between{1, 3}},
			taste{[]schemas.Style{active, family, nature}, between{30, 45}, .6, .2, []string{"family", "ski pass"}},
			trip{[12]float64{4, 5, 2.5, .5, .1, .1, .2, .3, .1, .2, .5, 4}, between{50, 180}, between{5, 8}},
			habit{2.2, 2, 8, 19.5, 1.8, .4, .45}, mind{.26, .08, .07, .6, .15}},
		{robot, .008, group{"", between{}, between{}},
			taste{nil, between{10, 50}, .5, 0, nil},
			trip{[12]float64{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, between{1, 300}, between{1, 14}},
			habit{7, .5, 60, 12, 8, .01, 0}, mind{}},
	}
}
