// Package configs is the config language: YAML read strictly into the structs
// that the other packages own, with every mistake of a file reported at once,
// and the value types, JSON Schema and key reference that go with it.
//
// # What a section looks like
//
// A section is a struct whose fields carry the tag yaml:"key"; other fields are
// not part of the language. Further tags, all optional:
//
//	doc:"…"          one sentence or more for the reference and the schema, with the unit
//	required:"true"  the key must be written wherever its section exists
//	enum:"a|b|c"     the only values, of a string or of each entry of a list of strings
//	min:"1" max:"9"  the range, both ends allowed, in the text of the field's own type;
//	                 for lists and maps the number of entries, for strings of characters
//	absent:"ok"      of a Secret: the file it names need not exist
//
// Fields are booleans, integers, floats, strings, anything that implements
// encoding.TextUnmarshaler (so each Value of this package), sections, and
// pointers, slices and maps by string of these. A pointer stays nil where the
// key is not written. Anything else is a mistake in the program and panics.
//
// Defaults are what a struct holds when it is handed to Load. What Load makes
// itself (entries of lists and maps, sections behind nil pointers) gets its
// defaults from the method SetDefaults, inner sections first.
//
// # What is refused
//
// Unknown and duplicate keys, keys without a value, values of another type
// (a string that looks like a number is quoted), tags, merge keys, more than
// one document, text that is not UTF-8. Aliases are followed, within the bound
// on the size of the whole.
package configs
