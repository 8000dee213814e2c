"""What a person sees when an app asks to be let into records: sign-in, patient, approval."""
