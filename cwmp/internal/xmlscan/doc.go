// Package xmlscan reads one XML document strictly, in the subset that SOAP 1.1
// allows: XML 1.0 with namespaces, no DOCTYPE, no entities beyond the five. It
// is a pull scanner over bytes in memory that does not allocate once it has
// seen a document of its size.
//
// Three layers: bytes (charset.go, check.go) become UTF-8 without forbidden
// characters; tokens (scan.go, tag.go, names.go) become elements with resolved
// namespaces; text (text.go) is freed of entities, CDATA and comments. Each
// layer checks all that XML asks of it, read or not.
package xmlscan
