"""What tests of several kinds share: real servers, real processes, a cluster seen from outside."""
