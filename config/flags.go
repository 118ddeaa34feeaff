package config

// Flags collects what the command line gave, before the file and the
// environment are known. Load reads it; the zero value is ready.
type Flags struct {
	given map[string][]string
}

func (f *Flags) values(name string) []string {
	if f == nil {
		return nil
	}
	return f.given[name]
}

// Flag is one option as a flag: it has the methods of pflag.Value. A value is
// only noted here; Load says what is wrong with it.
type Flag struct {
	flags  *Flags
	option Option
	shown  string // the default, for the help
}

// Flag returns the option as a flag that writes into f. The help shows the
// default that holds on this host.
func (f *Flags) Flag(o Option, h Host) *Flag {
	return &Flag{flags: f, option: o, shown: o.value(Defaults(h))}
}

// String is the default as the help shows it: nothing for ids, whose default is
// said in words.
func (v *Flag) String() string {
	if v.option.Name == "uid" || v.option.Name == "gid" {
		return ""
	}
	return v.shown
}

// Set notes a value; the last of a repeated one wins, except in a list.
func (v *Flag) Set(value string) error {
	if v.flags.given == nil {
		v.flags.given = make(map[string][]string)
	}
	if v.option.List {
		v.flags.given[v.option.Name] = append(v.flags.given[v.option.Name], value)
	} else {
		v.flags.given[v.option.Name] = []string{value}
	}
	return nil
}

// Type is what the help calls the value; "bool" is a switch to pflag.
func (v *Flag) Type() string {
	if v.option.Arg == "" {
		return "bool"
	}
	return v.option.Arg
}
