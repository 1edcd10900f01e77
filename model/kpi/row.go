package kpi

import (
	"fmt"

	"fernweh/schemas"
)

// Key is the row of the pane.
func (p Pane) Key() schemas.Key { return schemas.PaneKey(p.Measure.String(), p.Minute, p.Dim.String()) }

// ParseRow reads what stands in the row of a Key.
func ParseRow(row string) (p Pane, err error) {
	measure, minute, dim, err := schemas.ParsePaneKey(row)
	if err != nil {
		return p, err
	}
	p.Minute = minute
	if p.Measure, err = ParseMeasure(measure); err == nil {
		p.Dim, err = ParseDim(dim)
	}
	if err != nil {
		return p, fmt.Errorf("read pane row %q: %w", row, err)
	}
	return p, nil
}
