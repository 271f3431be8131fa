//! The protocol as generated from `proto/link.proto`.

#![expect(unreachable_pub, reason = "generated; the words stand in proto/link.proto")]

tonic::include_proto!("kogge.link.v1");
