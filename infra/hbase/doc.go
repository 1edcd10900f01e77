// Package hbase keeps the views in the tables of a real HBase.
//
// A cell's stamp is its timestamp there, and every family keeps one version
// without a time to live, so that the server itself lets the highest stamp win
// and a late writer changes nothing. All that a caller is promised follows from
// that: a write may be sent again without harm, so a call lasts through the
// restart of a server. Only a swap is not like that; it is guarded by a token
// of its own.
package hbase
