"""A double of GMX V2: its DataStore, Reader and referral contract behind their real ABIs, with markets and users."""
