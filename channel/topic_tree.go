package channel

import "strings"

// ParentTopics returns the topics above one, the nearest first: of "a/b/c" these
// are "a/b" and "a".
func ParentTopics(topic string) []string {
	var out []string
	for {
		i := strings.LastIndexByte(topic, '/')
		if i < 0 {
			return out
		}
		topic = topic[:i]
		out = append(out, topic)
	}
}

// OnTopic reports whether a topic is another one or below it.
func OnTopic(topic, above string) bool {
	rest, ok := strings.CutPrefix(topic, above)
	return ok && (rest == "" || rest[0] == '/')
}
