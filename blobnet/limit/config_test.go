package limit

import (
	"testing"
	"time"

	_ "time/tzdata"
)

func parse(t *testing.T, text string, zone *time.Location) Config {
	t.Helper()
	c, err := Parse(text, zone)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestHoursHoldFromTheirFirstMinuteToBeforeTheLast(t *testing.T) {
	c := parse(t, "9,mon-fri 08:00-18:00=1,22:00-06:00=2,sat 06:00-06:00=3", time.UTC)
	for when, want := range map[string]int64{
		"2026-11-16 07:59": 9, // a Monday
		"2026-11-16 08:00": 1,
		"2026-11-16 17:59": 1,
		"2026-11-16 18:00": 9,
		"2026-11-16 21:59": 9,
		"2026-11-16 22:00": 2,
		"2026-11-16 23:59": 2,
		"2026-11-17 00:00": 2,
		"2026-11-17 05:59": 2,
		"2026-11-17 06:00": 9,
		"2026-11-21 05:00": 2, // a Saturday; Friday's night
		"2026-11-21 06:00": 3,
		"2026-11-22 05:59": 2, // both hold: the first counts
		"2026-11-22 06:00": 9,
		"2026-11-22 08:00": 9, // Sunday
	} {
		at, err := time.ParseInLocation("2006-01-02 15:04", when, time.UTC)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.At(at).Total; got != want {
			t.Errorf("%s %s: %d, want %d", at.Weekday(), when, got, want)
		}
	}
}

func TestNightsBelongToTheDayTheyBeginOn(t *testing.T) {
	c := parse(t, "fri 22:00-06:00=1", time.UTC)
	for when, want := range map[string]int64{
		"2026-11-20 05:00": 0, // Friday's morning is Thursday's night
		"2026-11-20 22:00": 1,
		"2026-11-21 05:00": 1,
		"2026-11-21 22:00": 0,
	} {
		at, _ := time.ParseInLocation("2006-01-02 15:04", when, time.UTC)
		if got := c.At(at).Total; got != want {
			t.Errorf("%s: %d, want %d", when, got, want)
		}
	}
}

// In Berlin the clock went from 2:00 to 3:00 on 2026-03-29, and from 3:00 back to 2:00 on
// 2026-10-25.
func TestHoursGoByTheWallClockWhenDaylightSavingTimeChanges(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	c := parse(t, "02:15-02:45=1,03:00-04:00=2", berlin)
	count := func(from time.Time) (n [3]int) {
		for m := range 24 * 60 {
			n[c.At(from.Add(time.Duration(m)*time.Minute)).Total]++
		}
		return n
	}
	if n := count(time.Date(2026, 3, 28, 12, 0, 0, 0, berlin)); n[1] != 0 || n[2] != 60 {
		t.Errorf("in spring %d min of hours that were skipped, %d of 60", n[1], n[2])
	}
	if n := count(time.Date(2026, 10, 24, 12, 0, 0, 0, berlin)); n[1] != 60 || n[2] != 60 {
		t.Errorf("in autumn %d min of hours that came twice, %d of 60", n[1], n[2])
	}
}

func TestOtherHoursKeepWhatTheScheduleDoesNotName(t *testing.T) {
	c := parse(t, "100,peer=10,stream=50,00:00-24:00=none peer=20", time.UTC)
	r := c.At(time.Unix(0, 0))
	if r.Total != 0 || r.PerPeer != 20 || r.Class[0] != 50 {
		t.Errorf("%+v", r)
	}
}

func TestConfigIsChecked(t *testing.T) {
	for _, c := range []Config{
		{Total: -1}, {PerPeer: -1}, {Class: [4]int64{0, -1}},
		{Schedule: []Hours{{From: -1}}}, {Schedule: []Hours{{From: 24 * 60}}}, {Schedule: []Hours{{To: 24*60 + 1}}},
		{Schedule: []Hours{{Days: 128}}}, {Schedule: []Hours{{Total: -2}}}, {Schedule: []Hours{{Class: [4]int64{-2}}}},
	} {
		if c.Validate() == nil {
			t.Errorf("%+v passed", c)
		}
		if r := c.At(time.Now()); r != (Rates{}) {
			t.Errorf("%+v gives %+v", c, r)
		}
	}
}
