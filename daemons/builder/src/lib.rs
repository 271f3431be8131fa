//! Git receive and Dockerfile builds: a commit becomes an image.
