package main

import (
	"errors"
	"flag"
	"time"
)

// options say what is simulated.
type options struct {
	Nodes    int     `json:"nodes"`    // honest and hostile
	Channels int     `json:"channels"` // with honest publishers
	Forks    int     `json:"forks"`    // channels whose publishers equivocate
	Releases int     `json:"releases"` // of each channel
	Follows  float64 `json:"follows"`  // channels that a node follows, on average

	Loss    float64 `json:"loss"`
	Churn   float64 `json:"churn"`   // share of the followers that leaves in a minute
	Hostile float64 `json:"hostile"` // share of the nodes
	Flood   float64 `json:"flood"`   // messages a second from a flooding node to each of its neighbours
	Breaks  float64 `json:"breaks"`  // connections of a node that break in a minute
	Found   int     `json:"found"`   // peers that one look-up gives

	Warm    time.Duration `json:"warm"`    // before the first release
	Publish time.Duration `json:"publish"` // during which there are releases and churn
	Settle  time.Duration `json:"settle"`  // after which everybody has to have everything
	Uplink  int           `json:"uplink"`  // bytes per second

	Seed uint64 `json:"seed"`
}

func parse(args []string) (o options, asJSON bool, profile string, err error) {
	f := flag.NewFlagSet("sim", flag.ContinueOnError)
	f.IntVar(&o.Nodes, "nodes", 100, "nodes, honest and hostile")
	f.IntVar(&o.Channels, "channels", 0, "channels (default a tenth of the nodes)")
	f.IntVar(&o.Forks, "forks", 2, "more channels, whose publishers sign two histories")
	f.IntVar(&o.Releases, "releases", 5, "releases of each channel")
	f.Float64Var(&o.Follows, "follows", 4, "channels that a node follows, on average; the n-th is followed like 1/n")
	f.Float64Var(&o.Loss, "loss", 0.05, "chance that what is sent is lost")
	f.Float64Var(&o.Churn, "churn", 0.10, "share of the followers that leaves in a minute, half of them without a word")
	f.Float64Var(&o.Hostile, "hostile", 0.20, "share of the nodes that is hostile")
	f.Float64Var(&o.Flood, "flood", 1, "messages a second that a flooding node sends to each of its neighbours; three of six kinds of hostile nodes flood")
	f.Float64Var(&o.Breaks, "breaks", 0.25, "connections of a node that break in a minute")
	f.IntVar(&o.Found, "found", 8, "peers that the tracker gives at a time")
	f.DurationVar(&o.Warm, "warm", 90*time.Second, "simulated time before the first release")
	f.DurationVar(&o.Publish, "publish", 10*time.Minute, "simulated time in which there are releases and churn")
	f.DurationVar(&o.Settle, "settle", 6*time.Minute, "simulated time after it, at whose end every follower has everything")
	f.IntVar(&o.Uplink, "uplink", 1<<20, "what a node can send, in bytes per second")
	f.Uint64Var(&o.Seed, "seed", 1, "seed of what is random in the simulation itself")
	f.BoolVar(&asJSON, "json", false, "print JSON, and no table")
	f.StringVar(&profile, "cpuprofile", "", "write a profile of the processor's time to this file")
	if err := f.Parse(args); err != nil {
		return o, false, "", err
	}
	if f.NArg() > 0 {
		return o, false, "", errors.New("there are flags alone, and no arguments")
	}
	if o.Channels == 0 {
		o.Channels = max(1, o.Nodes/10)
	}
	return o, asJSON, profile, o.validate()
}

func (o options) validate() error {
	honest := o.Nodes - o.hostile()
	switch {
	case o.Nodes < 4 || o.Nodes > 1<<16:
		return errors.New("-nodes: from 4 to 65536")
	case o.Channels < 1 || o.Channels > honest/2:
		return errors.New("-channels: from 1 to half of the honest nodes, since each has a publisher of its own")
	case o.Forks < 0 || 2*o.Forks > o.hostile():
		return errors.New("-forks: each takes two hostile nodes")
	case o.Releases < 1 || o.Follows < 1 || o.Found < 1 || o.Uplink < 1024:
		return errors.New("-releases, -follows and -found: at least 1; -uplink: at least 1024")
	case o.Loss < 0 || o.Loss > 0.5 || o.Churn < 0 || o.Churn > 1 || o.Hostile < 0 || o.Hostile > 0.9 || o.Breaks < 0 || o.Flood <= 0 || o.Flood > 1000:
		return errors.New("-loss: 0 to 0.5; -churn: 0 to 1; -hostile: 0 to 0.9; -breaks: not negative; -flood: over 0, to 1000")
	case o.Warm < time.Second || o.Settle < time.Second || o.Publish < time.Duration(o.Releases)*time.Minute:
		return errors.New("-warm and -settle: at least 1s; -publish: at least a minute for each release")
	}
	return nil
}

func (o options) hostile() int { return int(o.Hostile * float64(o.Nodes)) }
