// Nothing of a conversation outlives the sign-in.
sessionStorage.clear();
