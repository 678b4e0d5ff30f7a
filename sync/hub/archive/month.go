package archive

import "time"

// month is a calendar month in UTC as year * 100 + month, the unit in which bodies and openings are kept and go.
type month int64

func monthOf(t time.Time) month {
	year, m, _ := t.UTC().Date()
	return month(year*100 + int(m))
}

// next is the month after.
func (m month) next() month {
	if m%100 == 12 {
		return m + 89
	}
	return m + 1
}
