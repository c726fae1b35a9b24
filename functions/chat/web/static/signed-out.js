// Conversations are deleted when the sign-in ends.
sessionStorage.clear();
