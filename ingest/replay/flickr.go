package replay

import (
	"fmt"
	"path/filepath"
	"strings"

	"fernweh/schemas"
)

// flickrTours is the layout of Lim et al. 2015 and Chen et al. 2016: a row is a
// stay of a photographer at a place of a city. What the place is stands in a
// second file beside it: osaka-poi.csv beside osaka-traj.csv.gz. To look at a
// place is told as a look at an excursion there.
func flickrTours() Format {
	return Format{
		Name:  "flickr-tours",
		About: "places that photographers visited in a city (Lim et al. 2015, Chen et al. 2016), with its -poi.csv beside it",
		columns: []string{"userID", "trajID", "poiID", "startTime", "endTime", "numPhotos", "trajLen",
			"poiDuration"},
		comma: ',',
		open:  openTours,
	}
}

// openTours reads the places of the file's city.
func openTours(file string) (tell, error) {
	city, found := strings.CutSuffix(strings.TrimSuffix(filepath.Base(file), ".gz"), "-traj.csv")
	if !found || city == "" {
		return nil, fmt.Errorf("the file %s is not called CITY-traj.csv or CITY-traj.csv.gz", file)
	}
	pois := map[string]place{}
	beside := filepath.Join(filepath.Dir(file), city+"-poi.csv")
	err := eachRow(beside, ',', []string{"poiID", "poiCat", "poiLon", "poiLat"}, func(r *row) {
		id := r.id("poiID")
		if _, twice := pois[id]; twice {
			r.wrong("poiID", "a place of its own (it stands there twice)")
		}
		pois[id] = place{r.id("poiCat"), r.degrees("poiLat", 90), r.degrees("poiLon", 180)}
	})
	if err != nil {
		return nil, err
	}
	return tours{city, pois}.visit, nil
}

// A place is a point of interest.
type place struct {
	category            string
	latitude, longitude int32
}

// tours are the places of a city, by id.
type tours struct {
	city   string
	places map[string]place
}

// Times that a camera's clock may show, in seconds since 1970: the years 1 to
// 2099. Some say 1864; that is told as it stands, and it is the collector that
// refuses what no portal can have seen, with its reason.
const (
	earliest = -62135596800
	latest   = 4102444799
)

// visit is one row.
func (t tours) visit(r *row) []*schemas.Event {
	p, known := t.places[r.text("poiID")]
	if !known {
		r.wrong("poiID", "a place of "+t.city+"-poi.csv")
	}
	device := fmt.Sprintf("flickr-%s-%s", t.city, r.id("userID"))
	start := r.whole("startTime", earliest, latest)
	r.whole("endTime", start, latest)
	return []*schemas.Event{{
		Id:     fmt.Sprintf("%s-%07d", device, r.number),
		Device: device,
		Kind:   schemas.Kind_KIND_OFFER_VIEW,
		Time:   start * 1e6,
		Offer: &schemas.Offer{
			Id:          t.city + "-" + r.id("poiID"),
			Kind:        schemas.OfferKind_OFFER_KIND_EXCURSION,
			Destination: t.city,
			Latitude:    p.latitude,
			Longitude:   p.longitude,
		},
		Properties: properties(visitExtra{
			Theme:      p.category,
			Trajectory: r.id("trajID"),
			Photos:     r.whole("numPhotos", 0, 1e9),
			Seconds:    r.whole("poiDuration", 0, 1e9),
		}),
	}}
}

// visitExtra is what a visit's row tells beyond the fields of an event.
type visitExtra struct {
	Theme      string `json:"theme"`
	Trajectory string `json:"trajectory"`
	Photos     int64  `json:"photos"`
	Seconds    int64  `json:"seconds"`
}
