package fault

import "encoding/json"

// needed are the fields without which an answer says nothing.
var needed = map[string]bool{
	"versions": true, "id": true, "status": true, "members": true, "member_id": true, "usage": true, "token": true,
	"import-methods": true,
}

// fields takes the fields that matter away, or gives them a value of another type.
func (a *answer) fields(value any) {
	var all any
	if json.Unmarshal(a.body, &all) != nil {
		return // no JSON: nothing is missing from it
	}
	spoil(all, value)
	text, err := json.Marshal(all)
	if err != nil {
		return // what was read can be written
	}
	a.set(string(text))
}

func spoil(v, value any) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			spoil(e, value)
		}
	case map[string]any:
		for key, e := range v {
			switch {
			case !needed[key]:
				spoil(e, value)
			case value == nil:
				delete(v, key)
			default:
				v[key] = value
			}
		}
	}
}
