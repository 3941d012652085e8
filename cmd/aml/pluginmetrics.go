package main

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"github.com/anonymous-media-library/aml/node/api"
	"github.com/anonymous-media-library/aml/plugins"
)

// pluginMetrics are the numbers of the enabled plugins in the text format of
// Prometheus. Ids and hooks have no character that it would have to escape.
func pluginMetrics(list []api.PluginInfo) []byte {
	list = slices.DeleteFunc(slices.Clone(list), func(p api.PluginInfo) bool { return !p.Enabled })
	var b bytes.Buffer
	each := func(name, kind, help string, one func(api.PluginInfo, api.PluginStatus) any) {
		fmt.Fprintf(&b, "# HELP aml_plugin_%s %s\n# TYPE aml_plugin_%s %s\n", name, help, name, kind)
		for _, p := range list {
			run := api.PluginStatus{}
			if p.Run != nil {
				run = *p.Run
			}
			if v := one(p, run); v != nil {
				fmt.Fprintf(&b, "aml_plugin_%s{plugin=%q} %v\n", name, p.ID, v)
			}
		}
	}
	eachHook := func(name, help string, one func(api.PluginStats) any) {
		fmt.Fprintf(&b, "# HELP aml_plugin_%s %s\n# TYPE aml_plugin_%s counter\n", name, help, name)
		for _, p := range list {
			if p.Run == nil {
				continue
			}
			for _, hook := range slices.Sorted(maps.Keys(p.Run.Hooks)) {
				fmt.Fprintf(&b, "aml_plugin_%s{plugin=%q,hook=%q} %v\n", name, p.ID, hook, one(p.Run.Hooks[hook]))
			}
		}
	}
	eachHook("calls_total", "Calls of a hook.", func(s api.PluginStats) any { return s.Calls })
	eachHook("failures_total", "Calls that had no answer.", func(s api.PluginStats) any { return s.Errors })
	eachHook("timeouts_total", "Calls whose answer was too late.", func(s api.PluginStats) any { return s.Timeouts })
	eachHook("seconds_total", "Time spent in calls.", func(s api.PluginStats) any { return s.Time.Seconds() })
	each("starts_total", "counter", "Starts of the process.", func(_ api.PluginInfo, run api.PluginStatus) any { return run.Starts })
	each("failures_last_hour", "gauge", "Failures of the process; the third turns it off.", func(_ api.PluginInfo, run api.PluginStatus) any { return run.Failures })
	each("off", "gauge", "1 if it failed too often or cannot be run.", func(p api.PluginInfo, run api.PluginStatus) any {
		if p.Off != "" || p.Error != "" || run.State == "off" {
			return 1
		}
		return 0
	})
	each("observed_cursor", "gauge", "Number of the last event that it has dealt with.", func(p api.PluginInfo, run api.PluginStatus) any {
		if !slices.Contains(p.Hooks, plugins.Observe) {
			return nil
		}
		return run.Observed
	})
	return b.Bytes()
}
